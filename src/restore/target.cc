#include "restore/target.h"

#include <charconv>
#include <chrono>
#include <cstdint>

namespace tidemark::restore {
namespace {

constexpr uint64_t kMicrosPerSecond = 1'000'000;
// Below this a plain number is no TSO of this century; people write Unix seconds like that.
constexpr uint64_t kTsoMin = uint64_t{1} << 40;
constexpr int kTsoLogicalBits = 18;

absl::Status BadTarget(std::string_view text, std::string_view why) {
  return InvalidArgument(
      "'{}' is no moment to restore to: {}. A moment is latest, lsn:HEX, offset:DECIMAL, a time with its zone "
      "(2026-03-01T12:00:00.123456Z, 2026-03-01T13:00:00+01:00, '2026-03-01 13:00:00+0100'), a TSO, or Unix seconds "
      "with a decimal point (1772366400.5)",
      text, why);
}

// Takes text apart from the left; what does not fit leaves it failed for good.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }

  bool Take(std::string_view any_of) {
    if (rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void Expect(std::string_view any_of) { ok_ = Take(any_of) && ok_; }
  unsigned Digits(size_t count) {
    unsigned value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
        ok_ = false;
        return 0;
      }
      value = value * 10 + static_cast<unsigned>(rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  // One digit or more after a decimal point, in millionths.
  uint64_t Micros() {
    uint64_t micros = 0;
    uint64_t unit = 100'000;
    size_t digits = 0;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; rest_.remove_prefix(1), ++digits) {
      micros += unit * static_cast<uint64_t>(rest_.front() - '0');
      unit /= 10;
    }
    ok_ = ok_ && digits > 0;
    return micros;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// Seconds east of UTC; nullopt when it is malformed.
std::optional<int> Zone(Scanner& scan, bool negative) {
  const unsigned hours = scan.Digits(2);
  scan.Take(":");
  const unsigned minutes = scan.Digits(2);
  if (!scan.ok() || !scan.empty() || hours > 23 || minutes > 59) return std::nullopt;
  const int seconds = static_cast<int>(hours * 3600 + minutes * 60);
  return negative ? -seconds : seconds;
}

absl::StatusOr<Timestamp> ParseDateTime(std::string_view text) {
  Scanner scan(text);
  const unsigned year = scan.Digits(4);
  scan.Expect("-");
  const unsigned month = scan.Digits(2);
  scan.Expect("-");
  const unsigned day = scan.Digits(2);
  scan.Expect("Tt ");
  const unsigned hour = scan.Digits(2);
  scan.Expect(":");
  const unsigned minute = scan.Digits(2);
  scan.Expect(":");
  const unsigned second = scan.Digits(2);
  const uint64_t micros = scan.Take(".") ? scan.Micros() : 0;
  if (!scan.ok()) return BadTarget(text, "it is none of the forms that are taken");
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                         std::chrono::day(day));
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return BadTarget(text, "there is no such date or time");
  scan.Take(" ");
  if (scan.empty()) {
    return BadTarget(text, "it does not say its time zone; add Z for UTC, or an offset such as +02:00");
  }
  std::optional<int> zone;
  if (scan.Take("Zz")) {
    if (scan.empty()) zone = 0;
  } else if (scan.Take("+")) {
    zone = Zone(scan, false);
  } else if (scan.Take("-")) {
    zone = Zone(scan, true);
  }
  if (!zone) return BadTarget(text, "its time zone is neither Z nor an offset such as +02:00 or +0200");
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t seconds = days * 86400 + static_cast<int64_t>(hour * 3600 + minute * 60 + second) - *zone;
  if (seconds < 0) return BadTarget(text, "it lies before 1970");
  return Timestamp{static_cast<uint64_t>(seconds) * kMicrosPerSecond + micros};
}

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

template <typename Number>
bool ParseWhole(std::string_view text, int base, Number* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  return error == std::errc() && end == text.data() + text.size();
}

absl::StatusOr<Timestamp> ParseTso(std::string_view text) {
  uint64_t tso = 0;
  if (!ParseWhole(text, 10, &tso)) return BadTarget(text, "the number is too large");
  if (tso < kTsoMin) return BadTarget(text, "a number without a decimal point is a TSO, and this is too small for one");
  return Timestamp{(tso >> kTsoLogicalBits) * 1000};
}

absl::StatusOr<Timestamp> ParseUnixSeconds(std::string_view text, size_t point) {
  uint64_t seconds = 0;
  Scanner fraction(text.substr(point + 1));
  const uint64_t micros = fraction.Micros();
  // 253402300800 is the year 10000.
  if (!ParseWhole(text.substr(0, point), 10, &seconds) || !fraction.ok() || !fraction.empty() ||
      seconds >= 253'402'300'800) {
    return BadTarget(text, "it is none of the forms that are taken");
  }
  return Timestamp{seconds * kMicrosPerSecond + micros};
}

}  // namespace

absl::StatusOr<Target> ParseTarget(std::string_view text) {
  Target target;
  if (text == "latest") return target;
  if (text.starts_with("lsn:")) {
    std::string_view digits = text.substr(4);
    if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
    target.kind = Target::Kind::kLsn;
    if (!ParseWhole(digits, 16, &target.lsn.value)) {
      return BadTarget(text, "after lsn: comes a hexadecimal number of at most 16 digits");
    }
    return target;
  }
  if (text.starts_with("offset:")) {
    target.kind = Target::Kind::kLsn;
    if (!ParseWhole(text.substr(7), 10, &target.lsn.value)) {
      return BadTarget(text, "after offset: comes a decimal number, as INFO and JSON write LSNs");
    }
    return target;
  }
  target.kind = Target::Kind::kTime;
  const size_t point = text.find('.');
  if (IsDigits(text)) {
    TM_ASSIGN_OR_RETURN(target.time, ParseTso(text));
  } else if (point != std::string_view::npos && IsDigits(text.substr(0, point))) {
    TM_ASSIGN_OR_RETURN(target.time, ParseUnixSeconds(text, point));
  } else {
    TM_ASSIGN_OR_RETURN(target.time, ParseDateTime(text));
  }
  return target;
}

std::string FormatTarget(const Target& target) {
  switch (target.kind) {
    case Target::Kind::kLatest:
      return "latest";
    case Target::Kind::kTime:
      return FormatTime(target.time);
    case Target::Kind::kLsn:
      return fmt::format("lsn:{:x}", target.lsn.value);
  }
  return {};
}

std::string FormatTime(Timestamp time) {
  const std::chrono::sys_seconds moment{std::chrono::seconds(time.micros / kMicrosPerSecond)};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(moment - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), time.micros % kMicrosPerSecond);
}

}  // namespace tidemark::restore
