// Files of a Redis into a running server (this one or a Redis), over its own protocol: values as the commands that make
// them, so that any size of value goes, and what an append-only file has as it stands there.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "bin/import_files.h"
#include "bin/pipeline.h"
#include "format/rdb_commands.h"
#include "format/rdb_file.h"

namespace tidemark::bin {

struct ImportOptions {
  // Keys of the target that the files have, too, are replaced first.
  bool replace = false;
  // Fields of hashes that have times to live of their own become fields that stay; else the import ends there.
  bool drop_field_expiries = false;
  // Wall clock; what has expired by then is left out.
  uint64_t now_ms = 0;
};

struct ImportReport {
  std::map<std::string, uint64_t> keys;     // by type
  uint64_t expired = 0;                     // left out
  std::map<std::string, uint64_t> modules;  // values of modules, left out, by module type
  uint64_t functions = 0;
  uint64_t dropped_field_expiries = 0;
  uint64_t commands = 0;   // of append-only files
  uint64_t cut_bytes = 0;  // at the end of the last file: a command that is not whole
  uint64_t bytes = 0;
};

class Importer final : private format::RdbVisitor {
 public:
  // `progress` is told, now and then, the bytes read of the file at hand.
  Importer(Pipeline& target, ImportOptions options, std::function<void(uint64_t)> progress);

  // Errors name file and byte; what came before them stays in the target.
  absl::Status Import(const ImportFile& file);
  const ImportReport& report() const { return report_; }

 private:
  absl::Status Version(uint16_t, bool) override { return absl::OkStatus(); }
  absl::Status Aux(std::string_view, std::string_view) override { return absl::OkStatus(); }
  absl::Status Function(std::string_view code) override;
  absl::StatusOr<format::RdbSink*> Key(const format::RdbKey& key) override;
  absl::Status Module(const format::RdbKey& key, std::string_view module) override;

  absl::Status Select(uint64_t db);
  absl::Status ImportCommands(ImportReader& reader, std::string buffer, const ImportFile& file);
  absl::Status SendCommand(std::span<const std::string_view> words);

  Pipeline& target_;
  const ImportOptions options_;
  std::function<void(uint64_t)> progress_;
  ImportReport report_;
  uint64_t db_ = 0;
  std::string key_;
  struct Values final : format::RdbCommands {
    Values(format::RdbEmit emit, std::map<std::string, uint64_t>* kinds)
        : RdbCommands(std::move(emit)), counted(kinds) {}
    absl::Status Begin(format::RdbKind kind, std::optional<uint64_t> count) override {
      ++(*counted)[std::string(format::RdbKindName(kind))];
      return RdbCommands::Begin(kind, count);
    }
    std::map<std::string, uint64_t>* counted;
  } values_;
  std::vector<std::vector<std::string>> transaction_;
  bool in_transaction_ = false;
};

}  // namespace tidemark::bin
