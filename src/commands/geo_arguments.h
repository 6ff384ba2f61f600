// Inside the geo commands: how places, units and distances stand in requests and replies.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "resp/writer.h"
#include "types/geohash.h"
#include "types/zset.h"

namespace tidemark::commands {

// Degrees; on the map.
absl::StatusOr<types::GeoPoint> GeoPointArgs(std::string_view longitude, std::string_view latitude);
// Metres of a unit.
absl::StatusOr<double> GeoUnitArg(std::string_view arg);

// Any score; what is no geohash is some place.
uint64_t GeohashOfScore(double score);
absl::StatusOr<std::optional<types::GeoPoint>> PointOfMember(types::Zset& zset, std::string_view member);

void WriteGeoPoint(resp::Writer& out, const types::GeoPoint& point);
// In the client's unit; four digits behind the point.
void WriteGeoDistance(resp::Writer& out, double distance);

}  // namespace tidemark::commands
