#include "bin/output.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <limits>
#include <optional>
#include <span>

#include "base/numbers.h"
#include "restore/target.h"

namespace tidemark::bin {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// Digits in front, the unit behind them; nothing when there is no such unit or the product does not fit.
std::optional<uint64_t> Measure(std::string_view text, std::span<const Unit> units) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = ParseUint64(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (unit.name != text.substr(digits)) continue;
    if (*number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

}  // namespace

std::string HumanDuration(uint64_t micros) {
  if (micros == 0) return "0 s";
  if (micros < 1'000'000) return fmt::format("{:.1f} ms", static_cast<double>(micros) / 1e3);
  const uint64_t seconds = micros / 1'000'000;
  if (seconds < 60) return fmt::format("{:.1f} s", static_cast<double>(micros) / 1e6);
  if (seconds < 3600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h{}m", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{}d{}h", seconds / 86400, seconds % 86400 / 3600);
}

std::string HumanSize(uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string HumanTime(uint64_t micros) {
  if (micros == 0) return "-";
  std::string text = restore::FormatTime(Timestamp{micros});
  // Microseconds tell records apart, which nobody does on a status screen.
  const size_t point = text.find('.');
  if (point != std::string::npos && text.size() > point + 7) text.erase(point + 4, 3);
  return text;
}

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text, std::chrono::milliseconds unit) {
  const Unit units[] = {{"", static_cast<uint64_t>(unit.count())},
                        {"ms", 1},
                        {"s", 1000},
                        {"m", 60'000},
                        {"h", 3'600'000},
                        {"d", 86'400'000}};
  const auto millis = Measure(text, units);
  if (!millis) return InvalidArgument("'{}' is no duration: a number with ms, s, m, h or d", text);
  return std::chrono::milliseconds(static_cast<int64_t>(*millis));
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  static constexpr Unit kUnits[] = {
      {"", 1},          {"B", 1},         {"KB", 1000},    {"MB", 1000'000}, {"GB", 1000'000'000},
      {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
  const auto bytes = Measure(text, kUnits);
  if (!bytes) return InvalidArgument("'{}' is no size: a number with KB, MB, GB, KiB, MiB or GiB", text);
  return *bytes;
}

void PrintFailure(const absl::Status& status) { fmt::print(stderr, "tidemark: {}\n", Message(status)); }

}  // namespace tidemark::bin
