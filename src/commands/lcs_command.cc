// LCS: the longest common subsequence of two strings, by the usual table of the lengths for all pairs of prefixes.
// Which of several subsequences is found, and the order of its ranges, are those of Redis 7.0 (t_string.c, lcsCommand).
#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "commands/string_handlers.h"

namespace tidemark::commands {
namespace {

using types::Key;
using types::Type;

struct LcsOptions {
  bool length_only = false;
  bool ranges = false;
  bool with_match_length = false;
  int64_t min_match_length = 0;
};

absl::StatusOr<LcsOptions> ParseOptions(Args words) {
  LcsOptions options;
  for (size_t i = 0; i < words.size(); ++i) {
    if (EqualsIgnoreCase(words[i], "idx")) {
      options.ranges = true;
    } else if (EqualsIgnoreCase(words[i], "len")) {
      options.length_only = true;
    } else if (EqualsIgnoreCase(words[i], "withmatchlen")) {
      options.with_match_length = true;
    } else if (EqualsIgnoreCase(words[i], "minmatchlen") && i + 1 < words.size()) {
      TM_ASSIGN_OR_RETURN(options.min_match_length, IntegerArg(words[++i]));
    } else {
      return SyntaxError();
    }
  }
  if (options.ranges && options.length_only) {
    return absl::InvalidArgumentError("ERR If you want both the length and indexes, please just use IDX.");
  }
  return options;
}

// Length of the LCS of the first i bytes of `a` and the first j bytes of `b`, for every i and j.
class LengthTable {
 public:
  static absl::StatusOr<LengthTable> Make(std::string_view a, std::string_view b) {
    if (a.size() >= UINT32_MAX - 1 || b.size() >= UINT32_MAX - 1) {
      return absl::InvalidArgumentError("ERR String too long for LCS");
    }
    const uint64_t cells = (uint64_t{a.size()} + 1) * (uint64_t{b.size()} + 1);
    if (cells > kMaxStringBytes / sizeof(uint32_t)) {
      return absl::InvalidArgumentError("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    }
    LengthTable table;
    table.width_ = b.size() + 1;
    table.cells_.reset(new (std::nothrow) uint32_t[cells]);
    if (table.cells_ == nullptr) {
      return absl::InvalidArgumentError("ERR Insufficient memory, failed allocating transient memory for LCS");
    }
    table.Fill(a, b);
    return table;
  }

  uint32_t at(size_t i, size_t j) const { return cells_[i * width_ + j]; }

 private:
  void Fill(std::string_view a, std::string_view b) {
    std::fill_n(cells_.get(), width_, 0);
    for (size_t i = 1; i <= a.size(); ++i) {
      const uint32_t* above = &cells_[(i - 1) * width_];
      uint32_t* row = &cells_[i * width_];
      row[0] = 0;
      for (size_t j = 1; j <= b.size(); ++j) {
        row[j] = a[i - 1] == b[j - 1] ? above[j - 1] + 1 : std::max(above[j], row[j - 1]);
      }
    }
  }

  size_t width_ = 0;
  std::unique_ptr<uint32_t[]> cells_;
};

// Walks the table back from the ends of the strings; calls match(i, j, length) for every run of `length` bytes that
// stand in both, at a[i] and b[j], the last run first.
template <typename Match>
void WalkMatches(const LengthTable& table, std::string_view a, std::string_view b, const Match& match) {
  size_t i = a.size();
  size_t j = b.size();
  size_t run = 0;
  while (i > 0 && j > 0) {
    if (a[i - 1] == b[j - 1]) {
      --i;
      --j;
      ++run;
      continue;
    }
    if (run > 0) match(i, j, run);
    run = 0;
    if (table.at(i - 1, j) > table.at(i, j - 1)) {
      --i;
    } else {
      --j;
    }
  }
  if (run > 0) match(i, j, run);
}

void ReplyRange(resp::Writer& out, size_t start, size_t length) {
  out.Array(2);
  out.Integer(static_cast<int64_t>(start));
  out.Integer(static_cast<int64_t>(start + length - 1));
}

void ReplyRanges(Context& ctx, const LcsOptions& options, const LengthTable& table, std::string_view a,
                 std::string_view b) {
  ctx.out.Map(2);
  ctx.out.Bulk("matches");
  const auto matches = ctx.out.BeginDeferred(resp::Writer::Kind::kArray);
  size_t count = 0;
  WalkMatches(table, a, b, [&](size_t i, size_t j, size_t length) {
    if (static_cast<int64_t>(length) < options.min_match_length) return;
    ctx.out.Array(options.with_match_length ? 3 : 2);
    ReplyRange(ctx.out, i, length);
    ReplyRange(ctx.out, j, length);
    if (options.with_match_length) ctx.out.Integer(static_cast<int64_t>(length));
    ++count;
  });
  ctx.out.EndDeferred(matches, count);
  ctx.out.Bulk("len");
  ctx.out.Integer(table.at(a.size(), b.size()));
}

}  // namespace

absl::Status Lcs(Context& ctx) {
  TM_ASSIGN_OR_RETURN(const Key first, ctx.keys().Lookup(ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const Key second, ctx.keys().Lookup(ctx.args[2]));
  if ((first && first.type != Type::kString) || (second && second.type != Type::kString)) {
    return absl::InvalidArgumentError("ERR The specified keys must contain string values");
  }
  TM_ASSIGN_OR_RETURN(const LcsOptions options, ParseOptions(ctx.args.subspan(3)));
  const std::string_view a = first.string;
  const std::string_view b = second.string;
  TM_ASSIGN_OR_RETURN(const LengthTable table, LengthTable::Make(a, b));
  const uint32_t length = table.at(a.size(), b.size());
  if (options.ranges) {
    ReplyRanges(ctx, options, table, a, b);
  } else if (options.length_only) {
    ctx.out.Integer(length);
  } else {
    std::string subsequence(length, '\0');
    size_t end = length;
    WalkMatches(table, a, b, [&](size_t i, size_t, size_t run) {
      end -= run;
      a.copy(subsequence.data() + end, run, i);
    });
    ctx.out.Bulk(subsequence);
  }
  return absl::OkStatus();
}

}  // namespace tidemark::commands
