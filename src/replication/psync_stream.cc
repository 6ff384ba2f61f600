#include "replication/psync_stream.h"

#include <utility>

#include "base/numbers.h"

namespace tidemark::replication {
namespace {

constexpr size_t kIdChars = 40;
constexpr size_t kMarkChars = 40;
// As long as Redis allows a value to be made, whatever it was configured to.
constexpr size_t kBulkMax = 1u << 30;
constexpr size_t kWordsMax = 64u << 20;

bool Is(std::string_view word, std::string_view name) {
  if (word.size() != name.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if ((word[i] | 0x20) != name[i]) return false;
  }
  return true;
}

std::string_view NextWord(std::string_view* line) {
  while (!line->empty() && line->front() == ' ') line->remove_prefix(1);
  const std::string_view word = line->substr(0, line->find(' '));
  line->remove_prefix(word.size());
  return word;
}

}  // namespace

absl::StatusOr<PsyncVerdict> ParsePsyncVerdict(std::string_view line) {
  const auto strange = [&] { return InvalidArgument("PSYNC is answered by '{}'", line.substr(0, 200)); };
  PsyncVerdict verdict;
  std::string_view rest = line;
  const std::string_view word = NextWord(&rest);
  if (word == "+FULLRESYNC") {
    verdict.kind = PsyncVerdict::Kind::kFull;
    verdict.id = NextWord(&rest);
    const std::optional<uint64_t> offset = ParseUint64(NextWord(&rest));
    if (verdict.id.size() != kIdChars || !offset) return strange();
    verdict.offset = *offset;
    return verdict;
  }
  if (word == "+CONTINUE") {
    verdict.kind = PsyncVerdict::Kind::kContinue;
    verdict.id = NextWord(&rest);
    if (!verdict.id.empty() && verdict.id.size() != kIdChars) return strange();
    return verdict;
  }
  if (word == "-NOMASTERLINK" || word == "-LOADING" || word == "-BUSY" || word == "-MASTERDOWN") return verdict;
  if (line.starts_with("-ERR unknown command")) {
    verdict.kind = PsyncVerdict::Kind::kRefused;
    return verdict;
  }
  return strange();
}

absl::StatusOr<RdbAnnouncement> ParseRdbAnnouncement(std::string_view line) {
  RdbAnnouncement announced;
  if (line.starts_with("$EOF:") && line.size() == 5 + kMarkChars) {
    announced.mark = line.substr(5);
    return announced;
  }
  if (line.starts_with("$")) announced.bytes = ParseUint64(line.substr(1));
  if (!announced.bytes) return InvalidArgument("instead of an RDB comes '{}'", line.substr(0, 200));
  return announced;
}

absl::Status PsyncStream::Take() {
  const resp::Limits limits{.max_bulk = kBulkMax, .max_args = kWordsMax};
  size_t front = 0;
  absl::Status status;
  while (!full()) {
    size_t consumed = 0;
    const auto result = parser_.Parse(std::string_view(buffer_).substr(front), limits, &consumed, &request_);
    if (result == resp::ParseResult::kError) {
      status = InvalidArgument("the stream makes no sense at offset {}: {}", read_ + front, parser_.error());
      break;
    }
    if (result == resp::ParseResult::kRequest) TakeCommand(request_.args);
    front += consumed;
    // A transaction counts once it is whole.
    if (!in_multi_) {
      position_.offset = read_ + front;
      position_.db = db_;
    }
    if (result == resp::ParseResult::kIncomplete) break;
  }
  buffer_.erase(0, front);
  read_ += front;
  return status;
}

void PsyncStream::TakeCommand(const std::vector<std::string_view>& words) {
  const std::string_view name = words[0];
  if (Is(name, "select") && words.size() == 2) {
    db_ = ParseUint64(words[1]).value_or(0);
    return;
  }
  if (Is(name, "ping")) return;
  if (Is(name, "replconf")) {
    if (words.size() > 1 && Is(words[1], "getack")) ack_wanted_ = true;
    return;
  }
  if (Is(name, "multi")) {
    in_multi_ = true;
    return;
  }
  if (Is(name, "exec")) {
    in_multi_ = false;
    for (PsyncCommand& command : transaction_) batch_.push_back(std::move(command));
    transaction_.clear();
    return;
  }
  PsyncCommand command{.db = db_, .words = {words.begin(), words.end()}, .optional = false};
  for (const std::string& word : command.words) batch_bytes_ += word.size();
  (in_multi_ ? transaction_ : batch_).push_back(std::move(command));
}

}  // namespace tidemark::replication
