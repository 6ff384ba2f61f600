#include "commands/replicated_commands.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "commands/key_notifier.h"

namespace tidemark::commands {
namespace {

using Json = nlohmann::json;
using replication::PsyncCommand;
using replication::PsyncPosition;

constexpr uint32_t kRows = kWrite | kReadonly;
constexpr int kRehearsalsMax = 8;
constexpr std::string_view kRowName = "psync";
constexpr size_t kShownBytes = 64;

// Stands where handlers expect who has asked; hears nothing.
class Primary final : public Client {
 public:
  Primary() { authenticated = true; }
  void Deliver(std::shared_ptr<const std::string> /*bytes*/) override {}
  void RequestClose(bool /*after_replies*/) override {}
  size_t output_bytes() const override { return 0; }
  size_t input_bytes() const override { return 0; }
};

absl::Status Failed(const PsyncCommand& command, std::string_view why) {
  const std::string key = command.words.size() > 1 ? " " + command.words[1].substr(0, kShownBytes) : "";
  return InvalidArgument("its command '{}{}' cannot be carried out here: {}", command.words[0].substr(0, kShownBytes),
                         key, why);
}

absl::StatusOr<const CommandSpec*> SpecOf(const PsyncCommand& command, Args args) {
  const CommandSpec* spec = CommandTable::Get().Resolve(args);
  if (spec == nullptr || spec->handler == nullptr) return Failed(command, "it is not served");
  const auto count = static_cast<int>(args.size());
  if ((spec->arity > 0 && count != spec->arity) || count < -spec->arity) {
    return Failed(command, "wrong number of arguments");
  }
  if ((spec->flags & (kRows | kPubsub | kMayReplicate)) == 0) return Failed(command, "it is none for replicas");
  return spec;
}

}  // namespace

ReplicatedCommands::ReplicatedCommands(Server& server, Dispatcher* dispatcher)
    : server_(server), dispatcher_(dispatcher), client_(std::make_unique<Primary>()) {}

ReplicatedCommands::~ReplicatedCommands() = default;

absl::Status ReplicatedCommands::RunOne(kv::Txn& txn, const PsyncCommand& command,
                                        std::vector<types::KeyEvent>* events) {
  const std::vector<std::string_view> args(command.words.begin(), command.words.end());
  TM_ASSIGN_OR_RETURN(const CommandSpec* spec, SpecOf(command, args));
  if ((spec->flags & kRows) == 0) return absl::OkStatus();
  if (command.db >= static_cast<uint64_t>(server_.config.Integer("databases"))) {
    return Failed(command, fmt::format("there is no database {}: raise `databases`", command.db));
  }
  const DbIndex db{static_cast<uint16_t>(command.db)};
  client_->db = db;
  types::Keyspace keyspace(txn, db);
  keyspace.GatherEvents(events);
  resp::Writer out;
  Context ctx{.args = args,
              .out = out,
              .client = *client_,
              .server = server_,
              .keyspace = &keyspace,
              .in_exec = true,
              .dispatcher = dispatcher_};
  const absl::Status done = spec->handler(ctx);
  if (done.ok() || kv::IsColdRow(done) || engine::IsStalled(done)) return done;
  return Failed(command, Message(done));
}

absl::Status ReplicatedCommands::RunAll(kv::Txn& txn, std::span<const PsyncCommand> commands,
                                        std::vector<types::KeyEvent>* events) {
  // Its expiries are commands, too.
  txn.StopExpiryAt(Timestamp{});
  for (const PsyncCommand& command : commands) {
    const size_t mark = command.optional ? server_.engine.MarkTransaction(txn) : 0;
    const absl::Status done = RunOne(txn, command, events);
    if (done.ok()) continue;
    if (!command.optional || !absl::IsInvalidArgument(done)) return done;
    server_.engine.RollBackTo(txn, mark);
  }
  return absl::OkStatus();
}

absl::Status ReplicatedCommands::Apply(std::span<const PsyncCommand> commands,
                                       const std::optional<PsyncPosition>& position) {
  const bool notify = server_.notifier != nullptr && server_.notifier->on();
  std::vector<types::KeyEvent> events;
  std::optional<uint64_t> place;
  const auto body = [&](kv::Txn& txn) -> absl::Status {
    events.clear();
    TM_RETURN_IF_ERROR(RunAll(txn, commands, notify ? &events : nullptr));
    const types::RowKey row = types::SystemRow(kRowName);
    if (position) {
      txn.Put(row.view(), Json{{"id", position->id}, {"offset", position->offset}, {"db", position->db}}.dump());
    } else {
      txn.Delete(row.view());
    }
    return absl::OkStatus();
  };
  absl::Status written;
  for (int attempt = 0;; ++attempt) {
    const kv::Tier tier = attempt < kRehearsalsMax ? kv::Tier::kMemory : kv::Tier::kDisk;
    written = server_.engine.Write(tier, /*growing=*/true, [&](kv::Txn& txn) -> absl::Status {
      TM_RETURN_IF_ERROR(body(txn));
      if (notify) place = server_.notifier->TakePlace();
      return absl::OkStatus();
    });
    if (!kv::IsColdRow(written)) break;
    // What comes of it is found out by the next attempt.
    server_.engine.Rehearse(body).IgnoreError();
  }
  server_.engine.EndTurn();
  if (place) server_.notifier->Publish(*place, written.ok() ? std::move(events) : std::vector<types::KeyEvent>());
  if (engine::IsStalled(written)) return absl::UnavailableError("the store has to catch up first");
  TM_RETURN_IF_ERROR(written);
  RunOthers(commands);
  return absl::OkStatus();
}

void ReplicatedCommands::RunOthers(std::span<const PsyncCommand> commands) {
  for (const PsyncCommand& command : commands) {
    const std::vector<std::string_view> args(command.words.begin(), command.words.end());
    const CommandSpec* spec = CommandTable::Get().Resolve(args);
    if (spec == nullptr || (spec->flags & kRows) != 0) continue;
    resp::Writer out;
    Context ctx{.args = args, .out = out, .client = *client_, .server = server_, .in_exec = true};
    spec->handler(ctx).IgnoreError();
  }
}

absl::StatusOr<std::optional<PsyncPosition>> ReplicatedCommands::Position() {
  std::optional<PsyncPosition> position;
  TM_RETURN_IF_ERROR(server_.engine.Read(kv::Tier::kDisk, [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(const kv::Value row, txn.Get(types::SystemRow(kRowName).view()));
    if (!row) return absl::OkStatus();
    const Json json = Json::parse(row.view(), nullptr, /*allow_exceptions=*/false);
    try {
      position = PsyncPosition{.id = json.at("id").get<std::string>(),
                               .offset = json.at("offset").get<uint64_t>(),
                               .db = json.at("db").get<uint64_t>()};
    } catch (const Json::exception&) {
      return Errorf(absl::StatusCode::kDataLoss, "the row that says how far a Redis was followed is damaged");
    }
    return absl::OkStatus();
  }));
  return position;
}

}  // namespace tidemark::commands
