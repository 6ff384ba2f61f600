#include "commands/prefetch.h"

#include "base/hash.h"
#include "types/rows.h"

namespace tidemark::commands {

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
  const kv::CollectionId contents = engine_.store().db(client.db).contents;
  for (size_t i = 0; i < count; ++i) Gather(requests_[i].args, contents);
  GatherMembers(contents);
  if (!hashes_.empty()) engine_.store().Prefetch(hashes_);
  return count;
}

void Prefetcher::Gather(Args args, const kv::CollectionId& contents) {
  const CommandSpec* spec = CommandTable::Get().Find(args[0]);
  if (spec == nullptr || spec->keys.first != 1 || args.size() < 2 || (spec->flags & (kWrite | kReadonly)) == 0) return;
  if (spec->group == "hash" && args.size() > 2) {
    members_.push_back({args[1], args[2]});
  } else {
    hashes_.push_back(Hash64(types::KeyRow(contents, args[1]).view()));
  }
}

void Prefetcher::GatherMembers(const kv::CollectionId& contents) {
  std::string_view last_key;
  absl::StatusOr<types::KeyValue> hash = absl::NotFoundError("");
  for (const Member& member : members_) {
    // Commands in a row on one hash are what pipelines on hashes are made of.
    if (last_key != member.key || last_key.data() == nullptr) {
      last_key = member.key;
      const kv::Value row = engine_.store().Peek(types::KeyRow(contents, member.key).view());
      hash = types::DecodeKeyValue(row.view());
    }
    if (hash.ok() && hash->type == types::Type::kHash) {
      hashes_.push_back(Hash64(types::MemberRow(hash->collection, member.member).view()));
    }
  }
}

}  // namespace tidemark::commands
