// Places: GEOADD and its family, over sorted sets whose scores are geohashes (types/geohash.h).
#include <cmath>
#include <optional>

#include "commands/data_families.h"
#include "commands/geo_arguments.h"
#include "commands/spec.h"
#include "commands/zset_handlers.h"
#include "resp/numbers.h"
#include "types/geohash.h"

namespace tidemark::commands {
namespace {

using types::GeoPoint;
using types::Zset;

absl::Status GeoAdd(Context& ctx) {
  AddOptions options;
  size_t at = 2;
  for (; at < ctx.args.size(); ++at) {
    if (EqualsIgnoreCase(ctx.args[at], "nx")) {
      options.only_new = true;
    } else if (EqualsIgnoreCase(ctx.args[at], "xx")) {
      options.only_present = true;
    } else if (EqualsIgnoreCase(ctx.args[at], "ch")) {
      options.count_changed = true;
    } else {
      break;
    }
  }
  const Args places = ctx.args.subspan(at);
  if (places.size() % 3 != 0 || places.empty() || (options.only_new && options.only_present)) return SyntaxError();
  std::vector<Addition> additions;
  for (size_t i = 0; i < places.size(); i += 3) {
    TM_ASSIGN_OR_RETURN(const GeoPoint point, GeoPointArgs(places[i], places[i + 1]));
    additions.push_back({static_cast<double>(types::GeohashOf(point)), places[i + 2]});
  }
  return AddMembers(ctx, options, additions);
}

absl::Status GeoHash(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Array(ctx.args.size() - 2);
  for (const std::string_view member : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const std::optional<double> score, zset.Score(member));
    if (score) {
      ctx.out.Bulk(types::GeohashText(GeohashOfScore(*score)));
    } else {
      ctx.out.Null();
    }
  }
  return absl::OkStatus();
}

absl::Status GeoPos(Context& ctx) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  ctx.out.Array(ctx.args.size() - 2);
  for (const std::string_view member : ctx.args.subspan(2)) {
    TM_ASSIGN_OR_RETURN(const std::optional<GeoPoint> point, PointOfMember(zset, member));
    if (point) {
      WriteGeoPoint(ctx.out, *point);
    } else {
      ctx.out.NullArray();
    }
  }
  return absl::OkStatus();
}

absl::Status GeoDist(Context& ctx) {
  double meters = 1;
  if (ctx.args.size() > 5) return SyntaxError();
  if (ctx.args.size() == 5) {
    TM_ASSIGN_OR_RETURN(meters, GeoUnitArg(ctx.args[4]));
  }
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[1]));
  TM_ASSIGN_OR_RETURN(const std::optional<GeoPoint> from, PointOfMember(zset, ctx.args[2]));
  TM_ASSIGN_OR_RETURN(const std::optional<GeoPoint> to, PointOfMember(zset, ctx.args[3]));
  if (from && to) {
    WriteGeoDistance(ctx.out, types::DistanceMeters(*from, *to) / meters);
  } else {
    ctx.out.Null();
  }
  return absl::OkStatus();
}

constexpr CommandSpec Spec(std::string_view name, int arity, uint32_t flags, KeyPositions keys,
                           std::string_view key_flags, std::string_view since, Handler handler, std::string_view syntax,
                           std::string_view complexity, std::string_view summary) {
  return MakeSpec("geo", name, arity, flags, keys, key_flags, since, handler, syntax, complexity, summary);
}

constexpr CommandSpec WithKeys(std::vector<int> (*find_keys)(Args args), CommandSpec spec) {
  spec.find_keys = find_keys;
  return spec;
}

constexpr std::string_view kNamed = "O(N), N being the number of members named";
constexpr std::string_view kSearch = "O(N+log(M)), N being the number of places around the area and M that of all";

constexpr CommandSpec kGeoCommands[] = {
    Spec("geoadd", -5, kWrite | kDenyOom, kFirstKey, "RW update", "3.2.0", GeoAdd,
         "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]", "O(1) for each member",
         "Adds places by longitude and latitude."),
    Spec("geodist", -4, kReadonly, kFirstKey, "RO access", "3.2.0", GeoDist, "key member1 member2 [M | KM | FT | MI]",
         "O(1)", "Returns the distance between two places."),
    Spec("geohash", -2, kReadonly, kFirstKey, "RO access", "3.2.0", GeoHash, "key [member [member ...]]", kNamed,
         "Returns places as geohash texts."),
    Spec("geopos", -2, kReadonly, kFirstKey, "RO access", "3.2.0", GeoPos, "key [member [member ...]]", kNamed,
         "Returns longitude and latitude of places."),
    WithKeys(GeoRadiusKeys, Spec("georadius", -6, kWrite | kDenyOom | kMovableKeys, kFirstKey, "RO access/OW update",
                                 "3.2.0", GeoRadius,
                                 "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] "
                                 "[COUNT count [ANY]] [ASC | DESC] [STORE key] [STOREDIST key]",
                                 kSearch, "Returns or stores the places around a point; GEOSEARCH does the same.")),
    WithKeys(FirstKeyAtOneMoment,
             Spec("georadius_ro", -6, kReadonly, kFirstKey, "RO access", "3.2.10", GeoRadiusRo,
                  "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] "
                  "[COUNT count [ANY]] [ASC | DESC]",
                  kSearch, "Returns the places around a point; GEOSEARCH does the same.")),
    WithKeys(GeoRadiusKeys,
             Spec("georadiusbymember", -5, kWrite | kDenyOom | kMovableKeys, kFirstKey, "RO access/OW update", "3.2.0",
                  GeoRadiusByMember,
                  "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] "
                  "[ASC | DESC] [STORE key] [STOREDIST key]",
                  kSearch, "Returns or stores the places around another; GEOSEARCH does the same.")),
    WithKeys(FirstKeyAtOneMoment,
             Spec("georadiusbymember_ro", -5, kReadonly, kFirstKey, "RO access", "3.2.10", GeoRadiusByMemberRo,
                  "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] "
                  "[ASC | DESC]",
                  kSearch, "Returns the places around another; GEOSEARCH does the same.")),
    WithKeys(FirstKeyAtOneMoment,
             Spec("geosearch", -7, kReadonly, kFirstKey, "RO access", "6.2.0", GeoSearch,
                  "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX "
                  "width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
                  kSearch, "Returns the places within a circle or a box.")),
    Spec("geosearchstore", -8, kWrite | kDenyOom, kTwoKeys, "OW update/RO access", "6.2.0", GeoSearchStore,
         "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | "
         "BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
         kSearch, "Stores the places within a circle or a box."),
};

}  // namespace

absl::StatusOr<GeoPoint> GeoPointArgs(std::string_view longitude, std::string_view latitude) {
  const std::optional<double> x = resp::ParseDouble(longitude);
  const std::optional<double> y = resp::ParseDouble(latitude);
  if (!x || !y) return NotAFloat();
  const GeoPoint point{*x, *y};
  if (!types::IsOnMap(point)) return InvalidArgument("ERR invalid longitude,latitude pair {:f},{:f}", *x, *y);
  return point;
}

absl::StatusOr<double> GeoUnitArg(std::string_view arg) {
  if (EqualsIgnoreCase(arg, "m")) return 1.0;
  if (EqualsIgnoreCase(arg, "km")) return 1000.0;
  if (EqualsIgnoreCase(arg, "ft")) return 0.3048;
  if (EqualsIgnoreCase(arg, "mi")) return 1609.34;
  return InvalidArgument("ERR unsupported unit provided. please use M, KM, FT, MI");
}

uint64_t GeohashOfScore(double score) {
  // What the conversion is on x86-64 for any number, so that any score is the place that it is for Redis.
  constexpr double kHalf = 9223372036854775808.0;  // 2^63
  if (score < -kHalf) return uint64_t{1} << 63;
  if (score < kHalf) return static_cast<uint64_t>(static_cast<int64_t>(score));
  return score < 2 * kHalf ? static_cast<uint64_t>(score) : 0;
}

absl::StatusOr<std::optional<GeoPoint>> PointOfMember(Zset& zset, std::string_view member) {
  TM_ASSIGN_OR_RETURN(const std::optional<double> score, zset.Score(member));
  if (!score) return std::optional<GeoPoint>();
  return std::optional<GeoPoint>(types::PointOf(GeohashOfScore(*score)));
}

void WriteGeoPoint(resp::Writer& out, const GeoPoint& point) {
  out.Array(2);
  out.HumanDouble(point.longitude);
  out.HumanDouble(point.latitude);
}

void WriteGeoDistance(resp::Writer& out, double distance) { out.Bulk(fmt::format("{:.4f}", distance)); }

std::span<const CommandSpec> GeoCommands() { return kGeoCommands; }

}  // namespace tidemark::commands
