// Places on earth as 52-bit numbers, which a double holds exactly: the scores of geo sets. Close numbers are close
// places, so an area is a few ranges of scores.
//
// The number is a geohash (G. M. Morton's curve over longitude and latitude; en.wikipedia.org/wiki/Geohash): 26 bits of
// each, interleaved with longitude first. As in Redis, latitude runs over the Web Mercator's range (EPSG:3857) instead
// of ±90 degrees, and the earth is a sphere with a radius of 6372797.560856 m.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tidemark::types {

// Degrees.
struct GeoPoint {
  double longitude = 0;
  double latitude = 0;
};
inline constexpr double kLongitudeMax = 180;
inline constexpr double kLatitudeMax = 85.05112878;

// Whether a geohash can stand for it.
bool IsOnMap(const GeoPoint& point);
uint64_t GeohashOf(const GeoPoint& point);
// The middle of its cell, which is at most 0.6 m wide and high.
GeoPoint PointOf(uint64_t geohash);
// The text form that others know (geohash.org): latitude over ±90 degrees, 11 characters, of which the last is "0".
std::string GeohashText(uint64_t geohash);

double DistanceMeters(const GeoPoint& a, const GeoPoint& b);

// A circle, or a box whose sides run along meridians and parallels.
struct GeoShape {
  GeoPoint center;
  bool is_box = false;
  double radius_m = 0;
  double width_m = 0;
  double height_m = 0;
};
// The distance from the center in metres; nothing when the point is outside.
std::optional<double> DistanceInside(const GeoShape& shape, const GeoPoint& point);

// Geohashes with begin ≤ geohash < end.
struct GeohashRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};
// A few ranges, without overlap, that hold every point of the shape and others: the cell of the center, and of its
// neighbours in the order N, S, E, W, NE, NW, SE, SW those that the shape reaches.
std::vector<GeohashRange> CoveringRanges(const GeoShape& shape);

}  // namespace tidemark::types
