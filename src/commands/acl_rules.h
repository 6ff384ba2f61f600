// What one user may do, as rules say it (Redis's ACL SETUSER: "+@all", "-config|set", "%R~cache:*", "&news", ">secret",
// "(+get ~x)"), and the questions that follow from it. Values without locks: acl.h keeps them.
//
// A user has one selector of his own and may have more, each in parentheses; a command is allowed if one selector
// allows it with all its keys and channels.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "commands/command.h"

namespace tidemark::commands {

// In the order of how near to allowed a denial is: of several selectors, the nearest tells the client why.
enum class AclDenial : uint8_t { kNone, kCommand, kKey, kAuth, kChannel };

struct AclVerdict {
  AclDenial denial = AclDenial::kNone;
  size_t place = 0;  // in args: the key or channel that was denied

  bool ok() const { return denial == AclDenial::kNone; }
};

class AclSelector {
 public:
  // Allows nothing, or every channel.
  explicit AclSelector(bool all_channels = false);

  // INVALID_ARGUMENT with Redis's words for what is wrong with the rule; nothing has changed then.
  absl::Status Apply(std::string_view rule);

  AclVerdict Check(const CommandSpec& spec, Args args) const;
  // `is_pattern`: one of PSUBSCRIBE, which must stand among the rules word for word.
  bool AllowsChannel(std::string_view channel, bool is_pattern) const;
  // Every command with every key and channel.
  bool unrestricted() const { return all_commands_ && all_keys_ && all_channels_; }

  // The rules again, as ACL GETUSER shows them: "-@all +get", "~x* %R~y*", "&ch*".
  std::string Commands() const;
  std::string Keys() const;
  std::string Channels() const;
  // All of it, as ACL LIST shows it.
  std::string Describe() const;

 private:
  struct KeyPattern {
    bool read;
    bool write;
    std::string pattern;
  };

  absl::Status AddKeys(std::string_view rule);
  absl::Status AddChannel(std::string_view pattern);
  absl::Status ApplyCommand(std::string_view rule);
  void SetAllCommands(bool allowed);
  void SetRow(const CommandTable::Row& row, bool allowed);
  absl::Status Allow(std::string_view rule);
  void Remember(std::string_view rule);
  bool SameCommands(const AclSelector& other) const;
  bool AllowsCommand(const CommandSpec& spec, Args args) const;
  bool AllowsKey(std::string_view key, bool reads, bool writes) const;

  std::vector<bool> allowed_;  // by row of the command table
  // By row: first arguments with which a command is allowed that is not ("+select|0").
  std::map<size_t, std::vector<std::string>> first_arguments_;
  // "+@all" or "-@all", then what still counts of what was said after it.
  std::vector<std::string> rules_;
  bool all_commands_ = false;  // nothing has been taken from +@all
  bool all_keys_ = false;
  bool all_channels_ = false;
  std::vector<KeyPattern> keys_;
  std::vector<std::string> channels_;
};

// Everything that is known of one user.
struct AclRights {
  bool enabled = false;
  bool nopass = false;
  // Has no effect here: RESTORE always checks what it is given. Shown as Redis shows it.
  enum class Payload : uint8_t { kUnsaid, kSanitize, kSkip } payload = Payload::kUnsaid;
  std::vector<std::string> passwords;  // SHA-256, 64 lower-case hex digits
  std::vector<AclSelector> selectors;  // the first is the user's own

  // A new user: off, nothing allowed; `all_channels` is acl-pubsub-default.
  static AclRights New(bool all_channels);
  // One rule of ACL SETUSER. Errors as AclSelector::Apply's.
  absl::Status Apply(std::string_view rule, bool all_channels);

  AclVerdict Check(const CommandSpec& spec, Args args) const;
  bool AllowsChannel(std::string_view channel, bool is_pattern) const;
  bool unrestricted() const;
  bool Accepts(std::string_view password) const;

  std::vector<std::string_view> Flags() const;
  // What follows the user's name in ACL LIST and in files.
  std::string Describe() const;
};

// The words of ACL SETUSER and of files: a selector in parentheses that spaces have torn apart becomes one word again.
// INVALID_ARGUMENT, without "ERR ", for one that does not end.
absl::StatusOr<std::vector<std::string>> JoinSelectors(std::span<const std::string_view> words);

// 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

// What a command does to a key as far as permissions go. `number`: which of its keys, in the order of FindKeys.
struct KeyAccess {
  bool is_key = true;
  bool reads = false;
  bool writes = false;
};
KeyAccess AccessTo(const CommandSpec& spec, Args args, size_t number);
// Flags of each key specification of COMMAND INFO ("RW access update"): one a key, the last for all that are left.
std::vector<std::string_view> KeyFlags(const CommandSpec& spec);
// Those of key `number` in this request, where they depend on the arguments too (SET, BITFIELD).
std::string_view KeyFlagsOf(const CommandSpec& spec, Args args, size_t number);

}  // namespace tidemark::commands
