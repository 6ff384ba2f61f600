// Replies of a node as JSON: maps, which RESP2 spells as arrays, by their field names.
#pragma once

#include <nlohmann/json.hpp>

#include "bin/redis_client.h"

namespace tidemark::bin {

// A map with the types that its fields have in backup/tasks.h, where RESP2 has only integers and text.
nlohmann::ordered_json ToJson(const Reply& map);
// On standard output. Bytes that are no UTF-8 (a path in an error) are replaced.
void PrintJson(const nlohmann::ordered_json& json);

}  // namespace tidemark::bin
