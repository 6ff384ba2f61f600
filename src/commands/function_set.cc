#include "commands/function_set.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "env/random.h"
#include "scripting/sha1.h"
#include "types/rows.h"

namespace tidemark::commands {
namespace {

constexpr std::string_view kPrefix = "function/";
constexpr std::string_view kGenerationRow = "functions";
constexpr char kVersion = 1;

std::string Lower(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

types::RowKey LibraryRow(std::string_view name) { return types::SystemRow(fmt::format("{}{}", kPrefix, name)); }

absl::StatusOr<FunctionSet::Libraries> ReadLibraries(kv::Txn& txn) {
  FunctionSet::Libraries libraries;
  absl::Status bad;
  const types::RowKey begin = types::SystemRow(kPrefix);
  TM_RETURN_IF_ERROR(
      txn.Scan(begin.view(), begin.PrefixEnd().view(), SIZE_MAX, [&](std::string_view row, const kv::Value& value) {
        const std::string_view name = types::ParseSystemRow(row)->substr(kPrefix.size());
        absl::StatusOr<FunctionLibrary> library = DecodeLibrary(name, value.view());
        if (!library.ok()) {
          bad = library.status();
          return false;
        }
        libraries.emplace(name, std::make_shared<FunctionLibrary>(*std::move(library)));
        return true;
      }));
  TM_RETURN_IF_ERROR(bad);
  return libraries;
}

}  // namespace

std::string_view FunctionLibrary::body() const {
  return std::string_view(code).substr(std::min(code.find('\n'), code.size()));
}

std::string EncodeLibrary(const FunctionLibrary& library) {
  std::string bytes(1, kVersion);
  AppendLengthPrefixed(&bytes, library.code);
  for (const scripting::FunctionInfo& function : library.functions) {
    AppendLengthPrefixed(&bytes, function.name);
    AppendLengthPrefixed(&bytes, function.description);
    AppendVarint(&bytes, function.flags);
  }
  return bytes;
}

absl::StatusOr<FunctionLibrary> DecodeLibrary(std::string_view name, std::string_view bytes) {
  if (bytes.empty()) return Errorf(absl::StatusCode::kDataLoss, "the row of library {} is empty", name);
  if (bytes[0] != kVersion) {
    return Errorf(absl::StatusCode::kFailedPrecondition, "library {} was written by a newer version", name);
  }
  bytes.remove_prefix(1);
  FunctionLibrary library{.name = std::string(name), .code = {}, .identity = {}, .functions = {}};
  std::string_view text;
  bool whole = ConsumeLengthPrefixed(&bytes, &text);
  library.code = text;
  while (whole && !bytes.empty()) {
    scripting::FunctionInfo function;
    uint64_t flags = 0;
    whole = ConsumeLengthPrefixed(&bytes, &text);
    function.name = text;
    whole = whole && ConsumeLengthPrefixed(&bytes, &text);
    function.description = text;
    whole = whole && ConsumeVarint(&bytes, &flags);
    function.flags = static_cast<uint32_t>(flags);
    library.functions.push_back(std::move(function));
  }
  if (!whole) return Errorf(absl::StatusCode::kDataLoss, "the row of library {} is malformed", name);
  const scripting::Sha1Name sha1 = scripting::Sha1(library.code);
  library.identity.assign(sha1.data(), sha1.size());
  return library;
}

FunctionSet::FunctionSet(std::string generation, Libraries libraries)
    : generation_(std::move(generation)), libraries_(std::move(libraries)) {
  for (const auto& [name, library] : libraries_) {
    for (const scripting::FunctionInfo& function : library->functions) {
      functions_.emplace(Lower(function.name), Place{library.get(), &function});
    }
  }
}

const FunctionSet::Place* FunctionSet::Find(std::string_view name) const {
  const auto found = functions_.find(Lower(name));
  return found == functions_.end() ? nullptr : &found->second;
}

absl::StatusOr<std::shared_ptr<const FunctionSet>> FunctionCache::Get(kv::Txn& txn) {
  TM_ASSIGN_OR_RETURN(const kv::Value row, txn.Get(types::SystemRow(kGenerationRow).view()));
  const std::string_view generation = row ? row.view() : std::string_view();
  {
    const MutexLock lock(mutex_);
    if (made_ != nullptr && made_->generation() == generation) latest_ = std::move(made_);
    if (latest_->generation() == generation) return latest_;
  }
  TM_ASSIGN_OR_RETURN(FunctionSet::Libraries libraries, ReadLibraries(txn));
  auto fresh = std::make_shared<FunctionSet>(std::string(generation), std::move(libraries));
  const MutexLock lock(mutex_);
  latest_ = fresh;
  return fresh;
}

std::shared_ptr<const FunctionSet> FunctionCache::latest() const {
  const MutexLock lock(mutex_);
  return latest_;
}

void FunctionCache::Put(kv::Txn& txn, const FunctionSet& now, FunctionSet::Libraries libraries) {
  for (const auto& [name, library] : now.libraries()) {
    if (!libraries.contains(name)) txn.Delete(LibraryRow(name).view());
  }
  for (const auto& [name, library] : libraries) {
    const auto before = now.libraries().find(name);
    if (before != now.libraries().end() && before->second == library) continue;
    txn.Put(LibraryRow(name).view(), EncodeLibrary(*library));
  }
  const Id128 random = RandomId();
  std::string generation(random.begin(), random.end());
  txn.Put(types::SystemRow(kGenerationRow).view(), generation);
  auto fresh = std::make_shared<FunctionSet>(std::move(generation), std::move(libraries));
  const MutexLock lock(mutex_);
  made_ = std::move(fresh);
}

}  // namespace tidemark::commands
