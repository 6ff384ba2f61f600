#include "bin/reply_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/numbers.h"

namespace tidemark::bin {
namespace {

constexpr std::string_view kBooleans[] = {"success", "joined", "stalled", "restorable", "conditional_put", "dry_run"};
constexpr std::string_view kDoubles[] = {"base_progress"};

bool Among(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

nlohmann::ordered_json ToJson(const Reply& map) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (size_t i = 0; i + 1 < map.elements.size(); i += 2) {
    const std::string& name = map.elements[i].text;
    const Reply& value = map.elements[i + 1];
    if (Among(kBooleans, name)) {
      object[name] = value.integer != 0;
    } else if (Among(kDoubles, name)) {
      object[name] = ParseDouble(value.text).value_or(0);
    } else if (value.kind == Reply::Kind::kInteger) {
      object[name] = value.integer;
    } else {
      object[name] = value.text;
    }
  }
  return object;
}

void PrintJson(const nlohmann::ordered_json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace tidemark::bin
