#include "commands/monitors.h"

#include <memory>
#include <string>

#include "commands/slowlog.h"
#include "env/clock.h"

namespace tidemark::commands {
namespace {

void AppendQuoted(std::string_view word, std::string* line) {
  *line += '"';
  for (const char c : word) {
    switch (c) {
      case '\\':
      case '"':
        *line += '\\';
        *line += c;
        break;
      case '\n':
        *line += "\\n";
        break;
      case '\r':
        *line += "\\r";
        break;
      case '\t':
        *line += "\\t";
        break;
      case '\a':
        *line += "\\a";
        break;
      case '\b':
        *line += "\\b";
        break;
      default:
        if (c >= ' ' && c <= '~') {
          *line += c;
        } else {
          *line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        }
    }
  }
  *line += '"';
}

}  // namespace

void Monitors::Add(Client& client) {
  client.monitor = true;
  const MutexLock lock(mutex_);
  clients_.insert(&client);
  count_.store(clients_.size(), std::memory_order_relaxed);
}

void Monitors::Remove(Client& client) {
  if (!client.monitor) return;
  client.monitor = false;
  const MutexLock lock(mutex_);
  clients_.erase(&client);
  count_.store(clients_.size(), std::memory_order_relaxed);
}

void Monitors::Feed(const Client& client, DbIndex db, const CommandSpec& spec, Args args, bool from_script) {
  if ((spec.flags & (kSkipMonitor | kAdmin)) != 0) return;
  const uint64_t now = Clock::System().WallMicros();
  std::string line = fmt::format("+{}.{:06} [{} {}]", now / 1'000'000, now % 1'000'000, db.value,
                                 from_script ? "lua" : std::string_view(client.address));
  for (size_t i = 0; i < args.size(); ++i) {
    line += ' ';
    AppendQuoted(IsSecretArgument(args, i) ? "(redacted)" : args[i], &line);
  }
  line += "\r\n";
  const auto bytes = std::make_shared<const std::string>(std::move(line));
  const MutexLock lock(mutex_);
  for (Client* monitor : clients_) monitor->Deliver(bytes);
}

}  // namespace tidemark::commands
