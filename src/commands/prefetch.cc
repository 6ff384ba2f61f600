#include "commands/prefetch.h"

#include "base/hash.h"
#include "types/rows.h"

namespace tidemark::commands {
namespace {

// Where the first member stands in a command on members of a collection; 0 for other commands.
size_t MemberPosition(const CommandSpec& spec) {
  if (spec.group == "hash") return 2;
  if (spec.group != "sorted-set") return 0;
  return spec.name == "zadd" || spec.name == "zincrby" ? 3 : 2;
}

}  // namespace

size_t Prefetcher::Ahead(const Client& client, std::string_view input, const resp::Limits& limits) {
  // A command of four words takes some forty bytes: with less there is no pipeline to look along.
  constexpr size_t kInputMin = 64;
  if (input.size() < kInputMin) return 0;
  resp::Parser parser;
  size_t count = 0;
  for (; count < kCommands; ++count) {
    size_t consumed = 0;
    if (parser.Parse(input, limits, &consumed, &requests_[count]) != resp::ParseResult::kRequest) break;
    input.remove_prefix(consumed);
  }
  if (count < kCommandsMin) return count;
  hashes_.clear();
  members_.clear();
  // Whoever holds the lock just now is not waited for: a script may hold it for long.
  const std::optional<kv::DbState> db = engine_.store().TryDb(client.db);
  if (!db) return count;
  for (size_t i = 0; i < count; ++i) Gather(requests_[i].args, db->contents);
  GatherMembers(db->contents);
  if (!hashes_.empty()) engine_.store().Prefetch(hashes_);
  return count;
}

void Prefetcher::Gather(Args args, const kv::CollectionId& contents) {
  const CommandSpec* spec = CommandTable::Get().Find(args[0]);
  if (spec == nullptr || spec->keys.first != 1 || args.size() < 2 || (spec->flags & (kWrite | kReadonly)) == 0) return;
  if (const size_t member = MemberPosition(*spec); member != 0 && member < args.size()) {
    members_.push_back({args[1], args[member]});
  } else {
    hashes_.push_back(Hash64(types::KeyRow(contents, args[1]).view()));
  }
}

void Prefetcher::GatherMembers(const kv::CollectionId& contents) {
  std::string_view last_key;
  absl::StatusOr<types::KeyValue> collection = absl::NotFoundError("");
  for (const Member& member : members_) {
    // Commands in a row on one key are what pipelines on collections are made of.
    if (last_key != member.key || last_key.data() == nullptr) {
      last_key = member.key;
      const kv::Value row = engine_.store().Peek(types::KeyRow(contents, member.key).view());
      collection = types::DecodeKeyValue(row.view());
    }
    if (collection.ok() && types::HasMemberRows(collection->type)) {
      hashes_.push_back(Hash64(types::MemberRow(collection->collection, member.member).view()));
    }
  }
}

}  // namespace tidemark::commands
