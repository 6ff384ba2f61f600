#include "bin/export_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "bin/output.h"
#include "bin/pipeline.h"
#include "env/clock.h"

namespace tidemark::bin {
namespace {

constexpr int kUsage = 1;
constexpr int kFailed = 4;

constexpr const char* kFooter =
    "The file holds everything as of one moment, which is said; writes go on meanwhile. Redis from 7.0 on loads it as "
    "its "
    "dump.rdb.\n"
    "Exit codes: 0 all there; 1 wrong use, or a file that exists; 4 the server cannot be reached, or cannot make it.";

struct ExportArguments {
  std::string file;
  std::string from = "127.0.0.1:6379";
  Credentials credentials;
  bool overwrite = false;
};

// Written beside its place, and put there when it is whole and on the disk.
class File {
 public:
  static absl::StatusOr<std::unique_ptr<File>> Create(const std::string& path) {
    const std::string beside = path + ".part";
    const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "create " + beside);
    return std::unique_ptr<File>(new File(fd, path, beside));
  }
  ~File() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(beside_.c_str());
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  absl::Status Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, "write " + beside_);
      bytes.remove_prefix(static_cast<size_t>(written));
      bytes_ += static_cast<uint64_t>(written);
    }
    return absl::OkStatus();
  }
  absl::Status Finish() {
    if (::fsync(fd_) != 0) return ErrnoStatus(errno, "sync " + beside_);
    if (std::rename(beside_.c_str(), path_.c_str()) != 0) return ErrnoStatus(errno, "rename to " + path_);
    ::close(fd_);
    fd_ = -1;
    return absl::OkStatus();
  }
  uint64_t bytes() const { return bytes_; }

 private:
  File(int fd, std::string path, std::string beside) : fd_(fd), path_(std::move(path)), beside_(std::move(beside)) {}
  int fd_;
  const std::string path_;
  const std::string beside_;
  uint64_t bytes_ = 0;
};

int Export(const ExportArguments& arguments) {
  const auto fail = [](const absl::Status& status, int code) {
    PrintFailure(status);
    return code;
  };
  std::error_code ignored;
  if (!arguments.overwrite && std::filesystem::exists(arguments.file, ignored)) {
    return fail(InvalidArgument("{} exists; --overwrite replaces it", arguments.file), kUsage);
  }
  const absl::StatusOr<NodeAddress> node = ParseNode(arguments.from);
  if (!node.ok()) return fail(node.status(), kUsage);
  absl::StatusOr<Pipeline> server = Pipeline::Connect(*node, arguments.credentials);
  if (!server.ok()) return fail(server.status(), kFailed);
  absl::StatusOr<std::unique_ptr<File>> file = File::Create(arguments.file);
  if (!file.ok()) return fail(file.status(), kUsage);
  const uint64_t started = Clock::System().WallMicros();
  const absl::StatusOr<std::string> done =
      server->AskStream({"EXPORT", "RDB"}, [&](std::string_view piece) { return (*file)->Write(piece); });
  if (!done.ok()) return fail(done.status(), kFailed);
  if (const absl::Status finished = (*file)->Finish(); !finished.ok()) return fail(finished, kFailed);
  fmt::print("exported  {}\n", done->starts_with("OK ") ? done->substr(3) : *done);
  fmt::print("written   {} to {} in {}\n", HumanSize((*file)->bytes()), arguments.file,
             HumanDuration(Clock::System().WallMicros() - started));
  return 0;
}

}  // namespace

void AddExportCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* sub = app.add_subcommand("export", "Write what a running server has to a file that Redis loads");
  sub->add_option("--rdb", arguments->file, "The file to write")->required();
  sub->add_option("--from", arguments->from, "host:port of the server (127.0.0.1:6379)");
  sub->add_option("--user", arguments->credentials.user, "User to authenticate as");
  sub->add_option("--password", arguments->credentials.password, "Its password; better in REDISCLI_AUTH")
      ->envname("REDISCLI_AUTH");
  sub->add_flag("--overwrite", arguments->overwrite, "Replace the file if it exists");
  sub->footer(kFooter);
  sub->callback([=] { *exit_code = Export(*arguments); });
}

}  // namespace tidemark::bin
