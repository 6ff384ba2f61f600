// The users of the server: who may log in, and what each may do. Redis's ACL.
//
// A user is one object for as long as he exists; connections point to it, and what he may do is a value behind it that
// is replaced whole, so a change counts for the next command of every connection. A connection without a pointer is the
// default user's; as long as he may do everything, which is so until somebody says otherwise, a command is admitted by
// two loads.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "commands/acl_log.h"
#include "commands/acl_rules.h"
#include "commands/client.h"
#include "config/config.h"

namespace tidemark::commands {

class ClientRegistry;
class Pubsub;

// Thread-safe.
class AclUser {
 public:
  AclUser(std::string name, AclRights rights)
      : name_(std::move(name)), rights_(std::make_shared<const AclRights>(std::move(rights))) {}

  const std::string& name() const { return name_; }
  std::shared_ptr<const AclRights> rights() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return rights_;
  }
  void SetRights(AclRights rights) ABSL_LOCKS_EXCLUDED(mutex_) {
    auto replaced = std::make_shared<const AclRights>(std::move(rights));
    const MutexLock lock(mutex_);
    rights_.swap(replaced);
  }

 private:
  const std::string name_;
  mutable Mutex mutex_;
  std::shared_ptr<const AclRights> rights_ ABSL_GUARDED_BY(mutex_);
};

// Where a command comes from, as ACL LOG says it.
enum class AclContext : uint8_t { kToplevel, kMulti, kLua };

// Thread-safe.
class Acl {
 public:
  // All outlive this. The default user may do everything; his password is requirepass.
  Acl(config::Config& config, ClientRegistry& clients, Pubsub& pubsub);

  // At the start: the users of the ACL file, or those of the configuration. The error is a line for the operator.
  absl::Status LoadAtStart();

  // ---- Before a command ----

  // The client may do everything. Two loads.
  bool Unrestricted(const Client& client) const {
    return client.user == nullptr && default_unrestricted_.load(std::memory_order_relaxed);
  }
  // What the client's user may do about a request; asks rules. `args` hold the command itself.
  AclVerdict Check(const Client& client, const CommandSpec& spec, Args args) const;
  // As Check, and a denial is put into the log.
  AclVerdict CheckAndLog(const Client& client, const CommandSpec& spec, Args args, AclContext context);
  // "NOPERM this user has no permissions to …", for the client.
  static absl::Status Refusal(AclDenial denial, const CommandSpec& spec);
  // The same for a command that stands in a transaction whose user lost the right since it was queued.
  static absl::Status RefusalAtExec(AclDenial denial);

  // ---- Who a connection is ----

  // A new connection has to log in before it may do anything.
  bool NeedsLogin() const { return needs_login_.load(std::memory_order_relaxed); }
  // The default user has a password, or cannot log in.
  bool DefaultHasPassword() const { return default_has_password_.load(std::memory_order_relaxed); }
  // On the client's thread. WRONGPASS, which is put into the log, or the client is that user from now on.
  absl::Status LogIn(Client& client, std::string_view command, std::string_view user, std::string_view password);
  // The client is as one that has just connected.
  void LogOut(Client& client);
  // For those who come by other ways than RESP: the user's rights; null when user or password are wrong.
  std::shared_ptr<const AclRights> Authenticate(std::string_view user, std::string_view password) const;
  static std::string_view NameOf(const Client& client);

  // ---- ACL's subcommands ----

  std::vector<std::string> Names() const ABSL_LOCKS_EXCLUDED(mutex_);
  // "user NAME …" of each, by name.
  std::vector<std::string> Lines() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Null when there is no such user.
  std::shared_ptr<AclUser> Find(std::string_view name) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes or changes a user, by all rules or none. Connections that listen to what he may not hear any more are ended.
  // `self` is whose command it is. INVALID_ARGUMENT, the whole error line.
  absl::Status SetUser(std::string_view name, std::span<const std::string_view> rules, const Client& self);
  // False when there is no such user. His connections are ended. Not for the default user.
  bool DeleteUser(std::string_view name, const Client& self) ABSL_LOCKS_EXCLUDED(mutex_);
  // The ACL file (aclfile): all of it or nothing. The error lacks "ERR ".
  absl::Status LoadFile(const Client* self);
  // INVALID_ARGUMENT, the whole error line.
  absl::Status SaveFile() const;

  AclLog& log() { return log_; }

 private:
  using Users = absl::btree_map<std::string, AclRights, std::less<>>;

  bool AllChannelsByDefault() const;
  std::vector<std::string> LinesOfConfiguration() const;
  AclRights DefaultRights() const;
  std::shared_ptr<const AclRights> RightsOf(const Client& client) const;
  // Any text of `user` lines; every error, each a sentence.
  absl::StatusOr<Users> ParseFile(const std::string& path, std::string_view text) const;
  void ReplaceAll(Users users, const Client* self);
  void Install(AclUser& user, AclRights rights);
  void DefaultChanged();
  void EndUnfit(const Client* self);

  config::Config& config_;
  ClientRegistry& clients_;
  Pubsub& pubsub_;
  AclLog log_;
  std::atomic<bool> default_unrestricted_{true};
  std::atomic<bool> needs_login_{false};
  std::atomic<bool> default_has_password_{false};
  Mutex change_mutex_;  // one change of users at a time; taken before mutex_
  mutable Mutex mutex_;
  absl::btree_map<std::string, std::shared_ptr<AclUser>, std::less<>> users_ ABSL_GUARDED_BY(mutex_);
  const std::shared_ptr<AclUser> default_;
};

}  // namespace tidemark::commands
