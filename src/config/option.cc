#include "config/option.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "base/check.h"

namespace tidemark::config {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

struct Directory {
  std::vector<const Option*> options;
  std::unordered_map<std::string_view, size_t> by_name;

  void Name(std::string_view name, size_t index) {
    TM_CHECK(by_name.emplace(name, index).second, "two options are called {}", name);
  }
};

const Directory& GetDirectory() {
  static const Directory* const directory = [] {
    auto* made = new Directory;
    for (const Section& section : Sections()) {
      for (const Option& option : section.options) {
        made->Name(option.name, made->options.size());
        if (!option.other_name.empty()) made->Name(option.other_name, made->options.size());
        made->options.push_back(&option);
      }
    }
    return made;
  }();
  return *directory;
}

// Levenshtein's distance, one row at a time.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

size_t OptionCount() { return GetDirectory().options.size(); }

const Option& OptionAt(size_t index) { return *GetDirectory().options.at(index); }

const Option* FindOption(std::string_view name) {
  const Directory& directory = GetDirectory();
  const auto found = directory.by_name.find(Lower(name));
  return found == directory.by_name.end() ? nullptr : directory.options[found->second];
}

size_t IndexOf(const Option& option) { return GetDirectory().by_name.at(option.name); }

std::string NearestName(std::string_view name) {
  constexpr size_t kLongestWorthComparing = 64;
  if (name.size() > kLongestWorthComparing) return {};
  const std::string wanted = Lower(name);
  size_t best = std::max<size_t>(2, wanted.size() / 3) + 1;
  std::string_view nearest;
  for (const auto& [known, index] : GetDirectory().by_name) {
    const size_t distance = EditDistance(wanted, known);
    if (distance < best || (distance == best && !nearest.empty() && known < nearest)) {
      best = distance;
      nearest = known;
    }
  }
  return std::string(nearest);
}

}  // namespace tidemark::config
