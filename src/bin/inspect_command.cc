#include "bin/inspect_command.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "bin/archive_arguments.h"
#include "bin/output.h"
#include "restore/moment.h"
#include "types/keyspace.h"

namespace tidemark::bin {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kAnswered = 0;
constexpr int kUsage = 1;
constexpr int kDamage = 2;
constexpr int kShort = 3;
constexpr int kTooCostly = 4;

constexpr uint16_t kDatabasesShown = 16;
constexpr size_t kMembersShown = 10'000;

constexpr const char* kFooter =
    "Exit codes: 0 answered; 1 wrong use, or an archive that cannot be reached; 2 log is missing or an object is "
    "damaged; 3 answered as of the archive's end, which lies before the moment; 4 not answered, since it would "
    "download "
    "more than --max-download.";

struct InspectArguments {
  ArchiveArguments archive;
  uint16_t db = 0;
  std::optional<std::string> key;
  std::string max_download = "1GiB";
};

class ScratchFolder {
 public:
  ScratchFolder() {
    const char* parent = std::getenv("TMPDIR");
    path_ = std::string(parent != nullptr ? parent : "/tmp") + "/tidemark-inspect-XXXXXX";
    made_ = mkdtemp(path_.data()) != nullptr;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  bool made() const { return made_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool made_ = false;
};

bool IsText(std::string_view bytes) {
  for (const char c : bytes) {
    if (static_cast<uint8_t>(c) < 0x20 || static_cast<uint8_t>(c) >= 0x7f) return false;
  }
  return true;
}

// As it is where it is plain text, else in hexadecimal.
Json BytesJson(std::string_view bytes) {
  if (IsText(bytes)) return std::string(bytes);
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return Json{{"hex", hex}};
}

absl::Status DescribeKey(kv::Txn& txn, const InspectArguments& arguments, Json* json) {
  types::Keyspace keyspace(txn, DbIndex{arguments.db});
  TM_ASSIGN_OR_RETURN(const types::Key key, keyspace.Find(*arguments.key));
  (*json)["db"] = arguments.db;
  (*json)["key"] = BytesJson(*arguments.key);
  (*json)["type"] = types::TypeName(key.type);
  if (!key) return absl::OkStatus();
  (*json)["expires"] = key.expire_ms == 0 ? Json(nullptr) : Json(restore::FormatTime(Timestamp{key.expire_ms * 1000}));
  if (key.type == types::Type::kString) {
    (*json)["value"] = BytesJson(key.string);
    return absl::OkStatus();
  }
  (*json)["count"] = key.count;
  Json members = Json::array();
  TM_RETURN_IF_ERROR(keyspace.VisitMembers(key.collection, 0, kMembersShown,
                                           [&](std::string_view member, std::string_view value, uint32_t) {
                                             members.push_back({BytesJson(member), BytesJson(value)});
                                             return true;
                                           }));
  (*json)["members"] = std::move(members);
  return absl::OkStatus();
}

absl::Status DescribeDatabases(kv::Txn& txn, Json* json) {
  Json databases = Json::object();
  for (uint16_t db = 0; db < kDatabasesShown; ++db) {
    const kv::DbState state = txn.db(DbIndex{db});
    if (state.keys == 0) continue;
    databases[fmt::format("db{}", db)] = {{"keys", state.keys}, {"expires", state.expires}};
  }
  (*json)["databases"] = std::move(databases);
  return absl::OkStatus();
}

void Print(const Json& json) {
  for (const auto& [name, value] : json.items()) {
    if (name == "members" || name == "databases") {
      for (const auto& [member, content] : value.items()) {
        fmt::print("  {}\n",
                   name == "members" ? content[0].dump() + " = " + content[1].dump() : member + " " + content.dump());
      }
    } else {
      fmt::print("{:<9} {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

int Fail(const absl::Status& status, bool of_plan) {
  PrintFailure(status);
  const bool gap = absl::IsDataLoss(status) || absl::IsNotFound(status);
  return gap || (of_plan && absl::IsFailedPrecondition(status)) ? kDamage : kUsage;
}

absl::StatusOr<Json> Answer(const InspectArguments& arguments, const OpenedArchive& archive,
                            const restore::Plan& plan) {
  const ScratchFolder scratch;
  if (!scratch.made()) return ErrnoStatus(errno, "make the folder " + scratch.path());
  restore::MomentOptions options;
  options.folder = scratch.path();
  options.jobs = arguments.archive.jobs;
  options.keys = archive.keys;
  restore::Progress progress;
  std::unique_ptr<restore::Moment> moment;
  {
    const ProgressLine line(plan, progress);
    TM_ASSIGN_OR_RETURN(
        moment, restore::Moment::Load(*archive.store, archive.catalog, archive.target, plan, options, &progress));
  }
  Json json;
  json["at"] = restore::FormatTime(moment->reached());
  json["lsn"] = fmt::format("lsn:{:x}", moment->lsn().value);
  TM_RETURN_IF_ERROR(moment->Read([&](kv::Txn& txn) {
    return arguments.key ? DescribeKey(txn, arguments, &json) : DescribeDatabases(txn, &json);
  }));
  return json;
}

int Inspect(const InspectArguments& arguments) {
  const absl::StatusOr<uint64_t> limit = ParseSize(arguments.max_download);
  if (!limit.ok()) return Fail(limit.status(), false);
  const absl::StatusOr<OpenedArchive> archive = OpenArchive(arguments.archive);
  if (!archive.ok()) {
    PrintFailure(archive.status());
    return absl::IsDataLoss(archive.status()) ? kDamage : kUsage;
  }
  const absl::StatusOr<restore::Plan> plan = restore::MakePlan(*archive->store, archive->catalog, archive->target);
  if (!plan.ok()) return Fail(WithWhatIsLeft(*archive, plan.status()), true);
  const uint64_t cost = plan->base_bytes + plan->log_bytes;
  if (cost > *limit) {
    PrintFailure(Errorf(absl::StatusCode::kResourceExhausted,
                        "to answer, {} have to be downloaded ({} of a base, {} of log), which is more than "
                        "--max-download {}",
                        HumanSize(cost), HumanSize(plan->base_bytes), HumanSize(plan->log_bytes), HumanSize(*limit)));
    return kTooCostly;
  }
  absl::StatusOr<Json> answer = Answer(arguments, *archive, *plan);
  if (!answer.ok()) return Fail(WithWhatIsLeft(*archive, answer.status()), false);
  (*answer)["exact"] = plan->exact();
  if (arguments.archive.json) {
    fmt::print("{}\n", answer->dump());
  } else {
    Print(*answer);
    if (!plan->exact()) {
      fmt::print(stderr, "the archive ends at {}, before the moment asked for\n", restore::FormatTime(plan->reaches));
    }
  }
  return plan->exact() ? kAnswered : kShort;
}

}  // namespace

void AddInspectCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* inspect =
      app.add_subcommand("inspect", "Say what stood in a key at a moment, from the archive, without a restore");
  AddArchiveOptions(*inspect, "--at", &arguments->archive);
  inspect->add_option("--db", arguments->db, "Number of the database (0)");
  inspect->add_option("--key", arguments->key, "The key; without it the databases are counted");
  inspect->add_option("--max-download", arguments->max_download, "What an answer may cost (1GiB)");
  inspect->footer(kFooter);
  inspect->callback([=] { *exit_code = Inspect(*arguments); });
}

}  // namespace tidemark::bin
