#include "bin/import.h"

#include <algorithm>

#include "resp/parser.h"

namespace tidemark::bin {
namespace {

constexpr size_t kReadBytes = 1u << 20;
// As long as Redis allows a value to be made, whatever it was configured to.
constexpr size_t kBulkMax = 1u << 30;

bool Is(std::string_view word, std::string_view name) {
  if (word.size() != name.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if ((word[i] | 0x20) != name[i]) return false;
  }
  return true;
}

absl::Status At(const ImportFile& file, uint64_t byte, const absl::Status& status) {
  return Errorf(status.code(), "{}, byte {}: {}", file.path, byte, Message(status));
}

}  // namespace

Importer::Importer(Pipeline& target, ImportOptions options, std::function<void(uint64_t)> progress)
    : target_(target),
      options_(options),
      progress_(std::move(progress)),
      values_([this](std::span<const std::string_view> words) { return target_.Send(words, "key '" + key_ + "'"); },
              &report_.keys) {
  values_.DropFieldExpiries(options.drop_field_expiries);
}

absl::Status Importer::Select(uint64_t db) {
  if (db == db_) return absl::OkStatus();
  db_ = db;
  const std::string number = fmt::format("{}", db);
  const std::string_view words[] = {"SELECT", number};
  return target_.Send(words, "database " + number);
}

absl::Status Importer::Function(std::string_view code) {
  ++report_.functions;
  const std::string_view words[] = {"FUNCTION", "LOAD", "REPLACE", code};
  return target_.Send(words, "a library of functions", /*optional=*/true);
}

absl::StatusOr<format::RdbSink*> Importer::Key(const format::RdbKey& key) {
  if (key.has_expiry && key.expire_ms <= options_.now_ms) {
    ++report_.expired;
    return nullptr;
  }
  TM_RETURN_IF_ERROR(Select(key.db));
  key_.assign(key.name);
  if (options_.replace) {
    const std::string_view words[] = {"DEL", key.name};
    TM_RETURN_IF_ERROR(target_.Send(words, key_));
  }
  values_.SetKey(key.name, key.has_expiry, key.expire_ms);
  return &values_;
}

absl::Status Importer::Module(const format::RdbKey& /*key*/, std::string_view module) {
  ++report_.modules[std::string(module)];
  return absl::OkStatus();
}

absl::Status Importer::Import(const ImportFile& file) {
  TM_ASSIGN_OR_RETURN(ImportReader reader, ImportReader::Open(file));
  std::string front(kReadBytes, '\0');
  TM_ASSIGN_OR_RETURN(const size_t got, reader.Read(front.data(), front.size()));
  front.resize(got);
  // Every file begins in database 0, wherever the one before has ended.
  TM_RETURN_IF_ERROR(Select(0));
  if (!front.starts_with("REDIS") && !front.starts_with("VALKEY"))
    return ImportCommands(reader, std::move(front), file);
  size_t given = 0;
  format::RdbInput in([&](char* to, size_t max) -> absl::StatusOr<size_t> {
    progress_(reader.read());
    if (given == front.size()) return reader.Read(to, max);
    const size_t taken = front.copy(to, max, given);
    given += taken;
    return taken;
  });
  const absl::Status read = format::ReadRdbFile(&in, this);
  report_.dropped_field_expiries = values_.dropped_field_expiries();
  if (!read.ok()) return Errorf(read.code(), "{}, {}", file.path, Message(read));
  report_.bytes += in.position();
  std::string rest(in.rest());
  rest.append(front.substr(given));
  return ImportCommands(reader, std::move(rest), file);
}

// MULTI goes to the target once its EXEC has come: one without was never carried out.
absl::Status Importer::SendCommand(std::span<const std::string_view> words) {
  if (words[0].starts_with("#")) return absl::OkStatus();  // a note of the time
  if (Is(words[0], "multi")) {
    in_transaction_ = true;
    transaction_.clear();
  }
  if (in_transaction_) {
    transaction_.emplace_back(words.begin(), words.end());
    if (!Is(words[0], "exec")) return absl::OkStatus();
    in_transaction_ = false;
    for (const std::vector<std::string>& command : transaction_) {
      const std::vector<std::string_view> views(command.begin(), command.end());
      TM_RETURN_IF_ERROR(target_.Send(views, views[0]));
    }
    report_.commands += transaction_.size() - 2;
    return absl::OkStatus();
  }
  ++report_.commands;
  const std::string_view key = words.size() > 1 ? words[1] : std::string_view();
  return target_.Send(words, fmt::format("{} {}", words[0], key.substr(0, 64)));
}

absl::Status Importer::ImportCommands(ImportReader& reader, std::string buffer, const ImportFile& file) {
  resp::Parser parser;
  resp::Request request;
  const resp::Limits limits{.max_bulk = kBulkMax, .max_args = 64u << 20};
  size_t front = 0;
  bool ended = false;
  in_transaction_ = false;
  // Its own SELECT is not counted by Select.
  const auto forget_db = [this] { db_ = UINT64_MAX; };
  while (true) {
    size_t consumed = 0;
    const auto result = parser.Parse(std::string_view(buffer).substr(front), limits, &consumed, &request);
    if (result == resp::ParseResult::kRequest) {
      if (Is(request.args[0], "select")) forget_db();
      TM_RETURN_IF_ERROR(SendCommand(request.args));
    }
    front += consumed;
    report_.bytes += consumed;
    if (result == resp::ParseResult::kRequest) continue;
    const uint64_t at = reader.read() - (buffer.size() - front);
    if (result == resp::ParseResult::kError) return At(file, at, absl::DataLossError(parser.error()));
    if (ended) {
      const size_t left = buffer.size() - front;
      if (left == 0 && !in_transaction_) return absl::OkStatus();
      if (!file.last) return At(file, at, absl::DataLossError("the file ends in the middle of a command"));
      report_.cut_bytes += std::max<size_t>(left, 1);
      return absl::OkStatus();
    }
    buffer.erase(0, front);
    front = 0;
    const size_t had = buffer.size();
    buffer.resize(had + kReadBytes);
    TM_ASSIGN_OR_RETURN(const size_t got, reader.Read(buffer.data() + had, kReadBytes));
    buffer.resize(had + got);
    ended = got == 0;
    progress_(reader.read());
  }
}

}  // namespace tidemark::bin
