// The options of one server and what they are now. Files and flags set them at the start (a mistake stops it, and says
// where and what was probably meant); CONFIG SET changes them while the server runs, all of a call or none; CONFIG
// REWRITE puts what has changed back into the file, which keeps its comments and order.
//
// Errors of Set, and of Rewrite, are whole replies in Redis's words ("ERR CONFIG SET failed (…").
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "config/option.h"
#include "config/value.h"

namespace tidemark::config {

// The files of a configuration: this floor has no files of its own. `read` is asked for "-" when the operator wants
// standard input. `replace` is atomic and durable.
struct Files {
  std::function<absl::StatusOr<std::string>(const std::string& path)> read;
  std::function<absl::Status(const std::string& path, std::string_view bytes)> replace;
};

// Everything may be called from any thread, except the loading, which comes before other threads.
class Config {
 public:
  // All defaults. Without `files`, nothing can be loaded from files or rewritten.
  explicit Config(Files files = {});
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;

  // What stands behind the program's name: a file or "-" first if wanted, then flags, which win over the file:
  // `tidemark.conf --port 7000 --save "" --appendfsync=always`. INVALID_ARGUMENT names the flag, or file and line.
  absl::Status LoadArguments(std::span<const std::string> arguments);
  // Text in redis.conf's syntax; `source` is its name in errors.
  absl::Status LoadText(std::string_view text, const std::string& source);

  // Values by either name of an option. A name that is not in the table, or is of another type, stops the process.
  bool Bool(std::string_view name) const;
  int64_t Integer(std::string_view name) const;   // kInteger, kMemory (bytes), kEnum (place), kKeyspaceEvents (bits)
  std::string Text(std::string_view name) const;  // any type, in canonical form; for an enum, the choice
  OutputLimit Limit(ClientClass of) const;
  // The number behind Bool and Integer, for those who read it often: valid as long as this object, always current.
  const std::atomic<int64_t>& Cell(std::string_view name) const;

  // Calls `apply` after Set changed the option; getters show the new value already. A refusal takes back the whole Set:
  // all values are as before, and those who have been called are called again. Calls come one at a time, on the
  // thread of Set; they may not call Set. Loading does not call.
  using Apply = std::function<absl::Status()>;
  void OnChange(std::string_view name, Apply apply);

  using Pairs = std::vector<std::pair<std::string, std::string>>;
  // CONFIG GET: each option that a pattern matches, under the name it matched, once. Secrets are shown: who may
  // ask is for the caller to decide.
  Pairs Get(std::span<const std::string_view> patterns) const;
  // CONFIG SET.
  absl::Status Set(std::span<const std::pair<std::string_view, std::string_view>> changes);
  // The option is what something else than CONFIG SET has made it (REPLICAOF, a failover): from now on Get and Rewrite
  // say so. Calls nobody. `text` is a value that the option can have.
  void Record(std::string_view name, std::string_view text);
  // CONFIG REWRITE.
  absl::Status Rewrite();

  // The lines `user NAME RULE…` (commands/acl.h reads them) as they were loaded, words between single spaces.
  const std::vector<std::string>& user_lines() const { return user_lines_; }
  // What Rewrite shall put there; without it, they stay as they are in the file.
  void SetUserLines(std::function<std::vector<std::string>()> lines);

  // Absolute path of the file loaded; empty when there was none (or standard input).
  const std::string& file() const { return file_; }

 private:
  struct Edit {
    size_t index = 0;
    Value before;
    Value after;
  };

  Value ValueAt(size_t index) const;
  void Store(size_t index, const Value& value);
  absl::StatusOr<std::vector<Edit>> Resolve(
      std::span<const std::pair<std::string_view, std::string_view>> changes) const;
  absl::Status RunApplies(size_t index);

  absl::Status LoadFile(const std::string& path, int depth);
  absl::Status LoadLines(std::string_view text, const std::string& source, int depth);
  absl::StatusOr<bool> TakeUserLine(std::span<const std::string_view> words);
  absl::Status LoadFlags(std::span<const std::string> arguments);

  const Files files_;
  std::string file_;
  std::vector<std::string> user_lines_;

  Mutex set_mutex_;  // one Set or Rewrite at a time; taken before mutex_
  mutable Mutex mutex_;
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<Apply>> applies_ ABSL_GUARDED_BY(mutex_);
  std::function<std::vector<std::string>()> users_now_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<std::atomic<int64_t>[]> numbers_;
};

}  // namespace tidemark::config
