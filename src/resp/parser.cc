#include "resp/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/arguments.h"
#include "base/check.h"
#include "base/numbers.h"

namespace tidemark::resp {
namespace {

// A command of more words than this gives its room back: idle connections must stay small.
constexpr size_t kArgsKept = 1024;
constexpr size_t kUnquotedKept = 16 << 10;

template <typename T>
void ShrinkVector(std::vector<T>* items, size_t keep) {
  if (items->capacity() > keep) std::vector<T>().swap(*items);
}

}  // namespace

ParseResult Parser::Parse(std::string_view input, const Limits& limits, size_t* consumed, Request* out) {
  *consumed = 0;
  out->args.clear();
  if (!error_.empty()) return ParseResult::kError;
  ShrinkVector(&out->args, kArgsKept);
  if (out->unquoted.capacity() > kUnquotedKept) std::string().swap(out->unquoted);
  TM_CHECK(input.size() >= position_ && input.size() >= scanned_, "{} bytes were {} before", input.size(), scanned_);

  while (*consumed < input.size()) {
    const std::string_view command = input.substr(*consumed);
    bytes_wanted_ = 1;
    const bool multibulk = args_left_ > 0 || command.front() == '*';
    const Step step = multibulk ? ParseMultibulk(command, limits, out) : ParseInline(command, limits, out);
    if (step == Step::kNeedMore) return ParseResult::kIncomplete;
    if (step == Step::kFailed) return ParseResult::kError;
    *consumed += position_;
    FinishCommand();
    if (!out->args.empty()) return ParseResult::kRequest;
  }
  bytes_wanted_ = 1;
  return ParseResult::kIncomplete;
}

void Parser::FinishCommand() {
  position_ = 0;
  scanned_ = 0;
  spans_.clear();
  ShrinkVector(&spans_, kArgsKept);
}

Parser::Step Parser::Fail(std::string_view text) {
  error_ = fmt::format("Protocol error: {}", text);
  return Step::kFailed;
}

// Takes the bytes from position_ up to `end`, which stays where position_ then is.
Parser::Step Parser::TakeLine(std::string_view input, char end, size_t max_line, std::string_view too_long,
                              std::string_view* line) {
  const size_t found = input.find(end, std::max(position_, scanned_));
  if (found == std::string_view::npos) {
    scanned_ = input.size();
    return input.size() - position_ > max_line ? Fail(too_long) : Step::kNeedMore;
  }
  scanned_ = found;
  if (found - position_ > max_line) return Fail(too_long);
  *line = input.substr(position_, found - position_);
  return Step::kDone;
}

Parser::Step Parser::ParseInline(std::string_view input, const Limits& limits, Request* out) {
  std::string_view line;
  const Step step = TakeLine(input, '\n', limits.max_line, "too big inline request", &line);
  if (step != Step::kDone) return step;
  position_ += line.size() + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!SplitArguments(line, &out->unquoted, &out->args)) return Fail("unbalanced quotes in request");
  return Step::kDone;
}

Parser::Step Parser::ParseMultibulkHeader(std::string_view input, const Limits& limits) {
  std::string_view line;
  const Step step = TakeLine(input, '\r', limits.max_line, "too big mbulk count string", &line);
  if (step != Step::kDone) return step;
  if (position_ + line.size() + 2 > input.size()) return Step::kNeedMore;
  const std::optional<int64_t> count = ParseInt64(line.substr(1));
  if (!count || *count > static_cast<int64_t>(limits.max_args)) return Fail("invalid multibulk length");
  if (!limits.authenticated && *count > static_cast<int64_t>(limits.unauthenticated_args)) {
    return Fail("unauthenticated multibulk length");
  }
  position_ += line.size() + 2;
  args_left_ = *count > 0 ? static_cast<size_t>(*count) : 0;
  return Step::kDone;
}

Parser::Step Parser::ParseBulkHeader(std::string_view input, const Limits& limits) {
  std::string_view line;
  const Step step = TakeLine(input, '\r', limits.max_line, "too big bulk count string", &line);
  if (step != Step::kDone) return step;
  if (position_ + line.size() + 2 > input.size()) return Step::kNeedMore;
  if (input[position_] != '$') return Fail(fmt::format("expected '$', got '{}'", input[position_]));
  const std::optional<int64_t> size = ParseInt64(line.substr(1));
  if (!size || *size < 0 || static_cast<uint64_t>(*size) > limits.max_bulk) return Fail("invalid bulk length");
  if (!limits.authenticated && static_cast<uint64_t>(*size) > limits.unauthenticated_bulk) {
    return Fail("unauthenticated bulk length");
  }
  position_ += line.size() + 2;
  bulk_size_ = static_cast<size_t>(*size);
  return Step::kDone;
}

// As in Redis, the two bytes behind a bulk string are skipped unseen: clients of that protocol have always been
// free to send anything there.
Parser::Step Parser::ParseMultibulk(std::string_view input, const Limits& limits, Request* out) {
  if (args_left_ == 0) {
    const Step step = ParseMultibulkHeader(input, limits);
    if (step != Step::kDone) return step;
  }
  while (args_left_ > 0) {
    if (!bulk_size_) {
      const Step step = ParseBulkHeader(input, limits);
      if (step != Step::kDone) return step;
    }
    const size_t end = position_ + *bulk_size_ + 2;
    if (end > input.size()) {
      bytes_wanted_ = end - input.size();
      return Step::kNeedMore;
    }
    spans_.push_back({position_, *bulk_size_});
    position_ = end;
    bulk_size_.reset();
    --args_left_;
  }
  out->args.reserve(spans_.size());
  for (const Span& span : spans_) out->args.push_back(input.substr(span.offset, span.length));
  return Step::kDone;
}

}  // namespace tidemark::resp
