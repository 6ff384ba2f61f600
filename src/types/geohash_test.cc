#include "types/geohash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace tidemark::types {
namespace {

// Values as Redis 7.0 gives them (GEOADD, ZSCORE, GEOHASH, GEODIST).
TEST(Geohash, IsThatOfRedis) {
  const GeoPoint palermo{13.361389, 38.115556};
  const GeoPoint catania{15.087269, 37.502669};
  EXPECT_EQ(GeohashOf(palermo), 3479099956230698U);
  EXPECT_EQ(GeohashOf(catania), 3479447370796909U);
  EXPECT_EQ(GeohashText(3479099956230698), "sqc8b49rny0");
  EXPECT_EQ(GeohashText(3479447370796909), "sqdtr74hyu0");
  EXPECT_NEAR(DistanceMeters(PointOf(GeohashOf(palermo)), PointOf(GeohashOf(catania))), 166274.1516, 0.00005);
}

TEST(Geohash, ComesBackWithinAMetre) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> longitude(-kLongitudeMax, kLongitudeMax);
  std::uniform_real_distribution<double> latitude(-kLatitudeMax, kLatitudeMax);
  for (int i = 0; i < 1000; ++i) {
    const GeoPoint point{longitude(random), latitude(random)};
    EXPECT_LT(DistanceMeters(point, PointOf(GeohashOf(point))), 1);
  }
}

TEST(Geohash, MapEndsBeforeThePoles) {
  EXPECT_TRUE(IsOnMap({180, -85.05112878}));
  EXPECT_FALSE(IsOnMap({0, 85.06}));
  EXPECT_FALSE(IsOnMap({-180.1, 0}));
}

// Every point inside a shape stands in exactly one of its ranges: points around it, shapes from metres to half the
// earth, at the date line and near the poles, too.
TEST(Geohash, RangesHoldWhatIsInside) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> unit(-1, 1);
  int inside = 0;
  for (int i = 0; i < 3000; ++i) {
    GeoShape shape{.center = {unit(random) * 180, unit(random) * (i % 3 == 0 ? 85 : 70)}};
    if (i % 4 == 0) shape.center.longitude = 179.9 * (i % 8 == 0 ? 1 : -1);
    const double size_m = std::pow(10, 1 + 6 * std::abs(unit(random)));
    shape.is_box = i % 2 == 0;
    shape.radius_m = size_m;
    shape.width_m = size_m * 2;
    shape.height_m = size_m * (1 + std::abs(unit(random)));
    const std::vector<GeohashRange> ranges = CoveringRanges(shape);
    for (int j = 0; j < 30; ++j) {
      const double up = size_m / 111'000 * 1.2;
      const double latitude = std::clamp(shape.center.latitude + unit(random) * up, -kLatitudeMax, kLatitudeMax);
      const double aside = std::min(up / std::cos(latitude * 3.14159 / 180), 180.0);
      GeoPoint point{std::remainder(shape.center.longitude + unit(random) * aside, 360), latitude};
      if (j == 0) point.longitude = 180;
      const uint64_t geohash = GeohashOf(point);
      if (!DistanceInside(shape, PointOf(geohash))) continue;
      ++inside;
      const auto holding = std::count_if(ranges.begin(), ranges.end(), [&](const GeohashRange& range) {
        return geohash >= range.begin && geohash < range.end;
      });
      EXPECT_EQ(holding, 1) << shape.center.longitude << " " << shape.center.latitude << " " << size_m << " box "
                            << shape.is_box << ": " << point.longitude << " " << point.latitude;
    }
  }
  EXPECT_GT(inside, 10'000);
}

}  // namespace
}  // namespace tidemark::types
