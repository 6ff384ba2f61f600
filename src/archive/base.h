// Base snapshots: a checkpoint of the store, file by file, in the archive. A file that the archive has already (by hash
// and size) is not sent again; the manifest is put last, so a base without one does not exist; an upload that was cut
// goes on with the files that are missing.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archive/catalog.h"
#include "archive/codec.h"
#include "base/status.h"
#include "env/clock.h"
#include "env/file.h"
#include "objstore/object_store.h"

namespace tidemark::archive {

struct ManifestFile {
  std::string name;  // within the checkpoint's folder
  format::FileName content;
  // What tells that a file of the same database is unchanged without reading it (hard links keep both).
  uint64_t inode = 0;
  uint64_t modified_nanos = 0;
};
// What a manifest's file may be called: letters, digits, '.', '_' and '-', as RocksDB's are, at most 200. A manifest is
// hostile input: a name never leads out of the folder.
bool IsBaseFileName(std::string_view name);

// base/….json: {"crc32c":"XXXXXXXX","manifest":{…}}, the CRC-32C that of the bytes of the manifest's object.
struct Manifest {
  format::BaseName name;
  format::Id128 cluster_id{};
  format::Id128 timeline_id{};
  uint32_t last_crc = 0;  // CRC field of the record that ends at name.lsn; 0 at the log's origin
  bool last_crc_known = false;
  uint64_t created_micros = 0;
  std::string database_id;  // of RocksDB: the same while inodes mean the same
  std::vector<ManifestFile> files;
  uint64_t bytes() const;
};
std::string EncodeManifest(const Manifest& manifest);
// DATA_LOSS for anything malformed, file names that are none included; UNIMPLEMENTED for a later version.
absl::StatusOr<Manifest> DecodeManifest(std::string_view json);

struct BaseProgress {
  std::atomic<uint64_t> bytes_total{0};
  std::atomic<uint64_t> bytes_done{0};  // sent or found there
  std::atomic<uint64_t> bytes_sent{0};
  std::atomic<uint64_t> files_total{0};
  std::atomic<uint64_t> files_done{0};
  std::atomic<bool> cancel{false};  // set to end the upload or download with CANCELLED
};

struct BaseOptions {
  int jobs = 4;
  CodecOptions codec;  // files are encrypted when there is a key; compressed never: RocksDB's files are
  // Borrowed.
  FileSystem* files = &FileSystem::Posix();
  Clock* clock = &Clock::System();
  // Asked once all files are there; an error keeps the manifest from being put, and ends the upload with it.
  std::function<absl::Status()> may_complete{};
};

// Uploads the checkpoint in `folder`; manifest.files is filled in, the rest is the caller's (created_micros 0: now).
// `previous`: an own earlier manifest, to spare reading unchanged files (may be null). Holds an archive lease while it
// works, so that retention spares files that no manifest names yet. Passing errors are retried by the store only: call
// again to go on, and only what is missing is sent. A manifest of that name that is there already, of the same cluster
// and timeline, is this base: it is returned, and nothing is sent. FAILED_PRECONDITION when it is somebody else's, or
// when a file changed meanwhile; ABORTED when retention deletes files at this moment.
absl::StatusOr<Manifest> UploadBase(objstore::ObjectStore& store, const std::string& folder, Manifest manifest,
                                    const Manifest* previous, const BaseOptions& options, BaseProgress* progress);

// DATA_LOSS when it is damaged or says that it is another base than its name does.
absl::StatusOr<Manifest> ReadManifest(objstore::ObjectStore& store, const BaseEntry& base);

// Downloads every file of the manifest into `folder` (made if missing), each written aside, checked against its hash,
// synced and renamed; files that are there with the right size and hash are kept, so that a second call resumes. Errors
// name the file.
absl::Status DownloadBase(objstore::ObjectStore& store, const Manifest& manifest, const std::string& folder,
                          const BaseOptions& options, BaseProgress* progress);
// Reads a file object whole and checks it, without writing anything.
absl::Status VerifyFile(objstore::ObjectStore& store, const format::FileName& file, const KeyRing& keys);

}  // namespace tidemark::archive
