// What can be configured, as data: one table of options, from which come the parser of files and flags, CONFIG GET and
// SET, and docs/configuration.md. A new option is one line in option_table.cc.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace tidemark::config {

enum class Type {
  kBool,             // yes or no
  kInteger,          // decimal, between min and max
  kMemory,           // bytes, with k=1000, kb=1024, m, mb, g, gb behind the number if wanted
  kMemoryOrPercent,  // the same, or 0% to 100%
  kEnum,             // one of `choices`
  kString,           // any text
  kWords,            // any words, or `min` to `max` numbers separated by spaces where the option says so
  kSavePoints,       // pairs of seconds and changes
  kOutputLimits,     // class, hard bytes, soft bytes, soft seconds, repeated
  kKeyspaceEvents,   // letters of event classes
  kEndpoint,         // host and port, or nothing ("no one")
};

enum class Change {
  kRunning,    // CONFIG SET may change it
  kStart,      // only file and flags may
  kProtected,  // only file and flags may, and Redis has words of its own for it
};

struct Option {
  std::string_view name;
  Type type;
  std::string_view fallback;  // the default, in the canonical form that CONFIG GET shows
  int64_t min = 0;            // of integers and of memory
  int64_t max = std::numeric_limits<int64_t>::max();
  std::string_view choices = {};     // of an enum, separated by '|'
  std::string_view refusal = {};     // why an enum takes no other choice, where that is not plain
  std::string_view other_name = {};  // an older or newer name for the same option
  Change change = Change::kRunning;
  bool secret = false;     // its value is never printed or logged by us
  bool no_effect = false;  // Redis has it; here it is accepted, kept and shown, and changes nothing
  std::string_view summary = {};
};

struct Section {
  std::string_view title;
  std::string_view text;
  std::span<const Option> options;
};

// The whole table, in the order of the documentation. Lasts for the process.
std::span<const Section> Sections();

// All options of all sections, each once; `index` is stable while the process runs.
size_t OptionCount();
const Option& OptionAt(size_t index);

// Under either of its names, letters in any case. Null when there is none.
const Option* FindOption(std::string_view name);
size_t IndexOf(const Option& option);

// The known name that takes the fewest edits to reach, or nothing when none is near enough to be what was meant.
std::string NearestName(std::string_view name);

}  // namespace tidemark::config
