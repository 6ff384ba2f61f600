#include "commands/slowlog.h"

#include <algorithm>

#include "config/option.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

// Long arguments and long lists are cut as Redis cuts them, so that one command cannot fill the memory.
std::vector<std::string> Shortened(Args args) {
  std::vector<std::string> words;
  const size_t count = std::min(args.size(), Slowlog::kMaxArgs);
  words.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    if (i + 1 == count && args.size() > count) {
      words.push_back(fmt::format("... ({} more arguments)", args.size() - count + 1));
    } else if (IsSecretArgument(args, i)) {
      words.emplace_back("(redacted)");
    } else if (args[i].size() > Slowlog::kMaxArgBytes) {
      words.push_back(fmt::format("{}... ({} more bytes)", args[i].substr(0, Slowlog::kMaxArgBytes),
                                  args[i].size() - Slowlog::kMaxArgBytes));
    } else {
      words.emplace_back(args[i]);
    }
  }
  return words;
}

}  // namespace

// Passwords: what AUTH takes, what follows AUTH in HELLO, and values of options that are secret.
bool IsSecretArgument(Args args, size_t i) {
  if (i == 0) return false;
  if (EqualsIgnoreCase(args[0], "auth")) return true;
  if (EqualsIgnoreCase(args[0], "hello")) {
    return EqualsIgnoreCase(args[i - 1], "auth") || (i > 1 && EqualsIgnoreCase(args[i - 2], "auth"));
  }
  if (EqualsIgnoreCase(args[0], "acl")) return i > 1 && EqualsIgnoreCase(args[1], "setuser");
  if (!EqualsIgnoreCase(args[0], "config") || !EqualsIgnoreCase(args[1], "set") || i < 3 || i % 2 == 0) return false;
  const config::Option* option = config::FindOption(args[i - 1]);
  return option != nullptr && option->secret;
}

void Slowlog::SetMaxLength(size_t entries) {
  MutexLock lock(mutex_);
  max_length_ = entries;
  while (entries_.size() > max_length_) entries_.pop_back();
}

void Slowlog::Add(const Client& client, Args args, uint64_t micros) {
  const uint64_t unix_seconds = Clock::System().WallMicros() / 1000000;
  Entry entry{0, unix_seconds, micros, Shortened(args), client.address, client.name};
  MutexLock lock(mutex_);
  entry.id = next_id_++;
  entries_.push_front(std::move(entry));
  while (entries_.size() > max_length_) entries_.pop_back();
}

std::vector<Slowlog::Entry> Slowlog::Newest(size_t count) const {
  MutexLock lock(mutex_);
  const size_t taken = std::min(count, entries_.size());
  return {entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(taken)};
}

size_t Slowlog::size() const {
  MutexLock lock(mutex_);
  return entries_.size();
}

void Slowlog::Reset() {
  MutexLock lock(mutex_);
  entries_.clear();
}

}  // namespace tidemark::commands
