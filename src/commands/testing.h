// Runs commands over rows in memory, without engine or sockets, as the dispatcher would: one statement each, changes
// taken back after an error, and every statement rehearsed first with its reads failing as cold, one after the other,
// so that each test also proves that a handler passes that on.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/numbers.h"
#include "commands/client.h"
#include "commands/command.h"
#include "types/testing.h"

namespace tidemark::commands::testing {

class FakeClient : public Client {
 public:
  void Deliver(std::shared_ptr<const std::string> bytes) override { delivered.append(*bytes); }
  void RequestClose(bool /*after_replies*/) override { closed = true; }
  size_t output_bytes() const override { return 0; }
  size_t input_bytes() const override { return 0; }

  std::string delivered;
  bool closed = false;
};

// The RESP value at the front of *in on one line, taken off it; nullopt when there is no whole one.
// Simple strings as they are, errors as "(error) ERR …", integers bare, bulk strings in double quotes with \xHH for
// what is not printable, nil, [arrays, …], {maps: …}, ~[sets], >[pushes], doubles as ",1.5", booleans as "#t".
inline std::optional<std::string> TakeReadable(std::string_view* in) {
  const size_t line_end = in->find("\r\n");
  if (in->empty() || line_end == std::string_view::npos) return std::nullopt;
  const char type = in->front();
  const std::string_view line = in->substr(1, line_end - 1);
  in->remove_prefix(line_end + 2);
  const auto length = ParseInt64(line);
  const auto elements = [&](std::string text, int64_t count, const char* odd,
                            char close) -> std::optional<std::string> {
    for (int64_t i = 0; i < count; ++i) {
      if (i > 0) text += i % 2 == 1 ? odd : ", ";
      const std::optional<std::string> element = TakeReadable(in);
      if (!element) return std::nullopt;
      text += *element;
    }
    return text + close;
  };
  switch (type) {
    case '+':
      return std::string(line);
    case '-':
      return "(error) " + std::string(line);
    case ':':
      return length ? std::optional(std::string(line)) : std::nullopt;
    case ',':
    case '#':
    case '(':
      return type + std::string(line);
    case '_':
      return "nil";
    case '$':
    case '=': {
      if (!length) return std::nullopt;
      if (*length == -1) return "nil";
      if (*length < 0 || in->size() < static_cast<size_t>(*length) + 2) return std::nullopt;
      const std::string_view bytes = in->substr(0, static_cast<size_t>(*length));
      if (in->substr(bytes.size(), 2) != "\r\n") return std::nullopt;
      in->remove_prefix(bytes.size() + 2);
      std::string text = "\"";
      for (const char c : bytes) {
        if (c == '"' || c == '\\') text += '\\';
        text += c >= ' ' && c <= '~' ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
      }
      return text + '"';
    }
    case '*':
      if (length && *length == -1) return "nil";
      return length ? elements("[", *length, ", ", ']') : std::nullopt;
    case '~':
      return length ? elements("~[", *length, ", ", ']') : std::nullopt;
    case '>':
      return length ? elements(">[", *length, ", ", ']') : std::nullopt;
    case '%':
      return length ? elements("{", 2 * *length, ": ", '}') : std::nullopt;
    default:
      return std::nullopt;
  }
}

// The one RESP value that `resp` is, as above.
inline std::string Readable(std::string_view resp) {
  std::string_view rest = resp;
  const std::optional<std::string> text = TakeReadable(&rest);
  TM_CHECK(text && rest.empty(), "not one RESP value: {}", resp);
  return *text;
}

class Harness {
 public:
  // The commands that can be run, by family.
  explicit Harness(std::initializer_list<std::span<const CommandSpec>> tables) : tables_(tables) {}
  // Handlers see a Server only if one is set; without it they must not look at it.
  void set_server(Server* server) { server_ = server; }

  types::testing::MemoryTxn& txn() { return txn_; }
  types::Keyspace keys() { return types::Keyspace(txn_, client_.db); }
  FakeClient& client() { return client_; }
  // Keyspace events of the last request.
  const std::vector<types::KeyEvent>& events() const { return events_; }

  // One request; the reply's bytes in the client's protocol.
  std::string RunRaw(const std::vector<std::string>& words) {
    const std::vector<std::string_view> args(words.begin(), words.end());
    resp::Writer out;
    out.SetProtocol(client_.protocol);
    const absl::Status status = Execute(args, &out);
    if (!status.ok()) {
      out.buffer().clear();
      out.Error(Message(status));
    }
    return out.buffer();
  }
  // The same, readable.
  std::string Run(const std::vector<std::string>& words) { return Readable(RunRaw(words)); }
  // Words that stand between single spaces.
  std::string Run(std::string_view line) {
    std::vector<std::string> words;
    while (true) {
      const size_t space = line.find(' ');
      words.emplace_back(line.substr(0, space));
      if (space == std::string_view::npos) return Run(words);
      line.remove_prefix(space + 1);
    }
  }
  std::string Run(const char* line) { return Run(std::string_view(line)); }

 private:
  // Statements with more reads than this are not rehearsed at each of them.
  static constexpr int kColdReads = 8;

  absl::Status Execute(Args args, resp::Writer* out) {
    const CommandSpec* spec = Resolve(args);
    TM_CHECK(spec != nullptr, "the harness has no command '{}'", args[0]);
    const auto count = static_cast<int>(args.size());
    if (spec->arity >= 0 ? count != spec->arity : count < -spec->arity) return WrongArity(spec->name);
    const bool writable = (spec->flags & kWrite) != 0;
    for (int cold = 0; cold < kColdReads && (spec->flags & kStateful) == 0; ++cold) {
      txn_.Begin(writable);
      txn_.FailRead(cold);
      const absl::Status status = Handle(*spec, args, out);
      const bool was_cold = txn_.reads() > cold;
      TM_CHECK(!was_cold || kv::IsColdRow(status), "'{}' hides a cold row: {}", spec->name, Message(status));
      txn_.Rollback();
      out->buffer().clear();
      if (!was_cold) break;
    }
    txn_.Begin(writable);
    const absl::Status status = Handle(*spec, args, out);
    if (status.ok()) {
      txn_.Commit();
      Readable(out->buffer());
    } else {
      txn_.Rollback();
    }
    return status;
  }

  absl::Status Handle(const CommandSpec& spec, Args args, resp::Writer* out) {
    types::Keyspace keyspace = keys();
    events_.clear();
    keyspace.GatherEvents(&events_);
    const bool has_keys = (spec.flags & (kWrite | kReadonly)) != 0;
    Context ctx{.args = args,
                .out = *out,
                .client = client_,
                .server = server_ != nullptr ? *server_ : *reinterpret_cast<Server*>(no_server_),
                .keyspace = has_keys ? &keyspace : nullptr};
    return spec.handler(ctx);
  }

  const CommandSpec* Resolve(Args args) const {
    for (const std::span<const CommandSpec> table : tables_) {
      if (const CommandSpec* spec = Find(table, args[0])) {
        const CommandSpec* sub = args.size() > 1 ? Find(spec->subcommands, args[1]) : nullptr;
        return sub != nullptr ? sub : spec;
      }
    }
    return nullptr;
  }
  static const CommandSpec* Find(std::span<const CommandSpec> table, std::string_view name) {
    for (const CommandSpec& spec : table) {
      if (EqualsIgnoreCase(spec.name, name)) return &spec;
    }
    return nullptr;
  }

  std::vector<std::span<const CommandSpec>> tables_;
  types::testing::MemoryTxn txn_;
  std::vector<types::KeyEvent> events_;
  FakeClient client_;
  Server* server_ = nullptr;
  alignas(std::max_align_t) std::byte no_server_[4096] = {};
};

}  // namespace tidemark::commands::testing
