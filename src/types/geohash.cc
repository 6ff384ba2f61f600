#include "types/geohash.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

namespace tidemark::types {
namespace {

constexpr double kEarthRadiusM = 6372797.560856;
// Half the length of the equator in Web Mercator's projection.
constexpr double kMercatorMaxM = 20037726.37;
// Bits of longitude, and of latitude, in a whole geohash.
constexpr unsigned kSteps = 26;

// Multiplied in this order, so that distances are Redis's to the last digit.
constexpr double kRadian = std::numbers::pi / 180;

double Radians(double degrees) { return degrees * kRadian; }
double Degrees(double radians) { return radians / kRadian; }

// The bits of `value` with a zero before each.
uint64_t Spread(uint32_t value) {
  uint64_t bits = value;
  bits = (bits | bits << 16) & 0x0000FFFF0000FFFF;
  bits = (bits | bits << 8) & 0x00FF00FF00FF00FF;
  bits = (bits | bits << 4) & 0x0F0F0F0F0F0F0F0F;
  bits = (bits | bits << 2) & 0x3333333333333333;
  return (bits | bits << 1) & 0x5555555555555555;
}

// Every other bit of `bits`, from the lowest on.
uint32_t Gather(uint64_t bits) {
  bits &= 0x5555555555555555;
  bits = (bits | bits >> 1) & 0x3333333333333333;
  bits = (bits | bits >> 2) & 0x0F0F0F0F0F0F0F0F;
  bits = (bits | bits >> 4) & 0x00FF00FF00FF00FF;
  bits = (bits | bits >> 8) & 0x0000FFFF0000FFFF;
  return static_cast<uint32_t>(bits | bits >> 16);
}

// A cell of the grid that halves longitude and latitude `steps` times; x counts from the west, y from the south. The
// very east and the very north, where a point can lie but no cell begins, have the number behind the last.
struct Cell {
  uint32_t x = 0;
  uint32_t y = 0;
  unsigned steps = 0;
  bool operator==(const Cell&) const = default;

  uint64_t bits() const { return Spread(y) | Spread(x) << 1; }
  GeohashRange range() const {
    const unsigned shift = 2 * (kSteps - steps);
    return {bits() << shift, (bits() + 1) << shift};
  }
  // Around the earth, and likewise over the poles.
  Cell Moved(int east, int north) const {
    const uint32_t mask = (1U << steps) - 1;
    return {(x + static_cast<uint32_t>(east)) & mask, (y + static_cast<uint32_t>(north)) & mask, steps};
  }
};

struct Bounds {
  double west = 0;
  double south = 0;
  double east = 0;
  double north = 0;
};

uint32_t Place(double value, double max, unsigned steps) {
  return static_cast<uint32_t>((value + max) / (2 * max) * static_cast<double>(1U << steps));
}

Cell CellOf(const GeoPoint& point, double latitude_max, unsigned steps) {
  return {Place(point.longitude, kLongitudeMax, steps), Place(point.latitude, latitude_max, steps), steps};
}

// The cell of the grid itself in which the point lies, or which it touches.
Cell GridCellOf(const GeoPoint& point, unsigned steps) {
  const uint32_t last = (1U << steps) - 1;
  const Cell cell = CellOf(point, kLatitudeMax, steps);
  return {std::min(cell.x, last), std::min(cell.y, last), steps};
}

double Edge(uint32_t place, double max, unsigned steps) {
  return -max + place * 1.0 / static_cast<double>(1U << steps) * (2 * max);
}

Bounds BoundsOf(const Cell& cell) {
  return {Edge(cell.x, kLongitudeMax, cell.steps), Edge(cell.y, kLatitudeMax, cell.steps),
          Edge(cell.x + 1, kLongitudeMax, cell.steps), Edge(cell.y + 1, kLatitudeMax, cell.steps)};
}

// How many degrees of longitude apart two points at `latitude` can be with no more than `meters` between them; all
// there are at the pole and beyond.
double LongitudeSpan(double meters, double latitude) {
  const double half = meters / kEarthRadiusM / 2;
  if (std::abs(latitude) >= 90 || half >= std::numbers::pi / 2) return kLongitudeMax;
  const double sine = std::sin(half) / std::cos(Radians(latitude));
  return sine >= 1 ? kLongitudeMax : Degrees(2 * std::asin(sine));
}

Bounds BoundsOf(const GeoShape& shape) {
  const double up_m = shape.is_box ? shape.height_m / 2 : shape.radius_m;
  const double aside_m = shape.is_box ? shape.width_m / 2 : shape.radius_m;
  const double up = Degrees(up_m / kEarthRadiusM);
  const GeoPoint& center = shape.center;
  // Meridians are closest together where the shape is closest to a pole.
  const double farthest = std::abs(center.latitude) + up;
  const double aside = LongitudeSpan(aside_m, farthest);
  return {center.longitude - aside, center.latitude - up, center.longitude + aside, center.latitude + up};
}

// How often to halve the map so that a cell and its neighbours hold a circle, mostly; fewer times near the poles, where
// cells are narrow.
unsigned StepsFor(double radius_m, double latitude) {
  if (radius_m <= 0) return kSteps;
  int steps = 1;
  for (; radius_m < kMercatorMaxM; radius_m *= 2) ++steps;
  steps -= 2;
  if (std::abs(latitude) > 66) --steps;
  if (std::abs(latitude) > 80) --steps;
  return static_cast<unsigned>(std::clamp(steps, 1, static_cast<int>(kSteps)));
}

// Whether cell and neighbours reach as far as the bounds, or around the earth.
bool Covers(const Cell& cell, const Bounds& bounds) {
  const Bounds own = BoundsOf(cell);
  const double width = own.east - own.west;
  const double height = own.north - own.south;
  return own.north + height >= std::min(bounds.north, kLatitudeMax) &&
         own.south - height <= std::max(bounds.south, -kLatitudeMax) && own.east + width >= bounds.east &&
         own.west - width <= bounds.west;
}

double MeridianMeters(double a_latitude, double b_latitude) {
  return kEarthRadiusM * std::abs(Radians(b_latitude) - Radians(a_latitude));
}

}  // namespace

bool IsOnMap(const GeoPoint& point) {
  return std::abs(point.longitude) <= kLongitudeMax && std::abs(point.latitude) <= kLatitudeMax;
}

uint64_t GeohashOf(const GeoPoint& point) { return CellOf(point, kLatitudeMax, kSteps).bits(); }

GeoPoint PointOf(uint64_t geohash) {
  const Bounds bounds = BoundsOf(Cell{Gather(geohash >> 1), Gather(geohash), kSteps});
  return {std::clamp((bounds.west + bounds.east) / 2, -kLongitudeMax, kLongitudeMax),
          std::clamp((bounds.south + bounds.north) / 2, -kLatitudeMax, kLatitudeMax)};
}

std::string GeohashText(uint64_t geohash) {
  constexpr std::string_view kDigits = "0123456789bcdefghjkmnpqrstuvwxyz";
  constexpr unsigned kDigitBits = 5;
  uint64_t bits = CellOf(PointOf(geohash), 90, kSteps).bits();
  std::string text;
  for (unsigned shift = 2 * kSteps; shift >= kDigitBits;) {
    shift -= kDigitBits;
    text += kDigits[bits >> shift & 31];
  }
  return text + '0';
}

// The haversine formula.
double DistanceMeters(const GeoPoint& a, const GeoPoint& b) {
  const double v = std::sin((Radians(b.longitude) - Radians(a.longitude)) / 2);
  if (v == 0) return MeridianMeters(a.latitude, b.latitude);
  const double a_latitude = Radians(a.latitude);
  const double b_latitude = Radians(b.latitude);
  const double u = std::sin((b_latitude - a_latitude) / 2);
  return 2 * kEarthRadiusM * std::asin(std::sqrt(u * u + std::cos(a_latitude) * std::cos(b_latitude) * v * v));
}

std::optional<double> DistanceInside(const GeoShape& shape, const GeoPoint& point) {
  if (shape.is_box) {
    if (MeridianMeters(point.latitude, shape.center.latitude) > shape.height_m / 2) return std::nullopt;
    const GeoPoint abeam{shape.center.longitude, point.latitude};
    if (DistanceMeters(point, abeam) > shape.width_m / 2) return std::nullopt;
    return DistanceMeters(shape.center, point);
  }
  const double distance = DistanceMeters(shape.center, point);
  if (distance > shape.radius_m) return std::nullopt;
  return distance;
}

std::vector<GeohashRange> CoveringRanges(const GeoShape& shape) {
  const double radius_m = shape.is_box ? std::hypot(shape.width_m / 2, shape.height_m / 2) : shape.radius_m;
  const Bounds bounds = BoundsOf(shape);
  unsigned steps = StepsFor(radius_m, shape.center.latitude);
  Cell center = GridCellOf(shape.center, steps);
  while (steps > 1 && !Covers(center, bounds)) center = GridCellOf(shape.center, --steps);

  const Bounds own = BoundsOf(center);
  // With two cells to a side a neighbour lies on both sides.
  const bool all = steps < 2;
  const bool north = all || own.north <= bounds.north;
  const bool south = all || own.south >= bounds.south;
  const bool east = all || own.east <= bounds.east;
  const bool west = all || own.west >= bounds.west;
  const struct {
    int east;
    int north;
    bool wanted;
  } neighbours[] = {{0, 0, true},           {0, 1, north},          {0, -1, south},
                    {1, 0, east},           {-1, 0, west},          {1, 1, north && east},
                    {-1, 1, north && west}, {1, -1, south && east}, {-1, -1, south && west}};
  std::vector<Cell> cells;
  for (const auto& neighbour : neighbours) {
    const Cell cell = center.Moved(neighbour.east, neighbour.north);
    if (neighbour.wanted && std::find(cells.begin(), cells.end(), cell) == cells.end()) cells.push_back(cell);
  }
  // What lies on the map's very edge.
  const uint32_t edge = 1U << steps;
  for (size_t i = 0, count = cells.size(); i < count; ++i) {
    const auto [x, y, cell_steps] = cells[i];
    if (x + 1 == edge) cells.push_back({edge, y, cell_steps});
    if (y + 1 == edge) cells.push_back({x, edge, cell_steps});
    if (x + 1 == edge && y + 1 == edge) cells.push_back({edge, edge, cell_steps});
  }
  std::vector<GeohashRange> ranges;
  ranges.reserve(cells.size());
  for (const Cell& cell : cells) ranges.push_back(cell.range());
  return ranges;
}

}  // namespace tidemark::types
