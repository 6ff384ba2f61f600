// The one table of all commands and the way from a request's words to a row in it.
//
// Find is on the path of every request: the name's bytes, each with the bit set that makes letters lower case, are
// hashed as two machine words into an open table twice as large as it need be; a full comparison follows only on the
// slot that fits.
#include <cstring>

#include "base/check.h"
#include "commands/command.h"
#include "commands/data_families.h"

namespace tidemark::commands {
namespace {

constexpr size_t kSlots = 1024;

// Bytes beyond the sixteenth only count through the length; the comparison settles the rest.
uint64_t NameHash(std::string_view name) {
  constexpr uint64_t kLowerCase = 0x2020202020202020;
  uint64_t words[2] = {0, 0};
  std::memcpy(words, name.data(), std::min(name.size(), sizeof(words)));
  uint64_t hash = (words[0] | kLowerCase) * 0x9E3779B97F4A7C15;
  hash ^= ((words[1] | kLowerCase) + name.size()) * 0xC2B2AE3D27D4EB4F;
  return hash ^ (hash >> 32);
}

uint64_t PointerHash(const void* pointer) {
  return (reinterpret_cast<uintptr_t>(pointer) >> 3) * 0x9E3779B97F4A7C15 >> 40;
}

constexpr std::span<const CommandSpec> (*kFamilies[])() = {
    StringCommands, BitCommands,           HashCommands,       SetCommands,      HyperLogLogCommands, KeyCommands,
    ScanCommands,   TransactionCommands,   ConnectionCommands, ClientCommands,   PubsubCommands,      ServerCommands,
    BackupCommands, IntrospectionCommands, ListCommands,       ListMoveCommands, StreamCommands,      ZsetCommands,
    GeoCommands,    AclCommands,           SortCommands,       ScriptCommands,   FunctionCommands};

}  // namespace

struct CommandTable::Index {
  const CommandSpec* by_name[kSlots] = {};
  struct Numbered {
    const CommandSpec* spec = nullptr;
    size_t number = 0;
  } by_address[kSlots];

  void Add(const CommandSpec* spec) {
    size_t slot = NameHash(spec->name) % kSlots;
    while (by_name[slot] != nullptr) {
      TM_CHECK(by_name[slot]->name != spec->name, "command {} stands twice in the table", spec->name);
      slot = (slot + 1) % kSlots;
    }
    by_name[slot] = spec;
  }
  void Number(const CommandSpec* spec, size_t number) {
    size_t slot = PointerHash(spec) % kSlots;
    while (by_address[slot].spec != nullptr) slot = (slot + 1) % kSlots;
    by_address[slot] = {spec, number};
  }
};

CommandTable::CommandTable() : index_(std::make_unique<Index>()) {
  for (const auto& family : kFamilies) {
    for (const CommandSpec& spec : family()) {
      all_.push_back(&spec);
      index_->Add(&spec);
      rows_.push_back({&spec, nullptr, FullName(nullptr, spec)});
      for (const CommandSpec& sub : spec.subcommands) rows_.push_back({&sub, &spec, FullName(&spec, sub)});
    }
  }
  TM_CHECK(rows_.size() * 2 < kSlots, "the command table needs more slots for {} rows", rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i) index_->Number(rows_[i].spec, i);
}

CommandTable::~CommandTable() = default;

const CommandTable& CommandTable::Get() {
  static const CommandTable* const table = new CommandTable();
  return *table;
}

const CommandSpec* CommandTable::Find(std::string_view name) const {
  for (size_t slot = NameHash(name) % kSlots; index_->by_name[slot] != nullptr; slot = (slot + 1) % kSlots) {
    if (EqualsIgnoreCase(index_->by_name[slot]->name, name)) return index_->by_name[slot];
  }
  return nullptr;
}

const CommandSpec* CommandTable::Resolve(Args args) const {
  if (args.empty()) return nullptr;
  const CommandSpec* spec = Find(args[0]);
  if (spec == nullptr || spec->subcommands.empty() || args.size() < 2) return spec;
  for (const CommandSpec& sub : spec->subcommands) {
    if (EqualsIgnoreCase(sub.name, args[1])) return &sub;
  }
  return spec;
}

size_t CommandTable::Number(const CommandSpec& spec) const {
  size_t slot = PointerHash(&spec) % kSlots;
  while (index_->by_address[slot].spec != &spec) {
    TM_CHECK(index_->by_address[slot].spec != nullptr, "{} is no row of the command table", spec.name);
    slot = (slot + 1) % kSlots;
  }
  return index_->by_address[slot].number;
}

std::vector<int> FindKeys(const CommandSpec& spec, Args args) {
  if (spec.find_keys != nullptr) return spec.find_keys(args);
  std::vector<int> positions;
  if (spec.keys.first == 0) return positions;
  const int count = static_cast<int>(args.size());
  const int last = spec.keys.last < 0 ? count + spec.keys.last : spec.keys.last;
  for (int i = spec.keys.first; i <= last && i < count; i += spec.keys.step) positions.push_back(i);
  return positions;
}

std::string FullName(const CommandSpec* parent, const CommandSpec& spec) {
  if (parent == nullptr) return std::string(spec.name);
  return fmt::format("{}|{}", parent->name, spec.name);
}

}  // namespace tidemark::commands
