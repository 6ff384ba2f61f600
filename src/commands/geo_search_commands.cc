// Places within a circle or a box: GEOSEARCH, GEORADIUS and their kind, to be returned or stored.
#include <algorithm>
#include <optional>

#include "commands/geo_arguments.h"
#include "commands/zset_handlers.h"
#include "resp/numbers.h"
#include "types/geohash.h"

namespace tidemark::commands {
namespace {

using types::GeoPoint;
using types::GeoShape;
using types::Zset;

enum class Order : uint8_t { kNone, kAscending, kDescending };

// Which of the commands it is.
struct Form {
  bool radius = false;       // GEORADIUS and GEORADIUSBYMEMBER: the circle stands before the options
  bool from_member = false;  // GEORADIUSBYMEMBER
  bool may_store = false;    // takes STORE and STOREDIST
  bool stores = false;       // GEOSEARCHSTORE
};

struct Request {
  GeoShape shape;
  double unit_m = 1;
  bool has_center = false;
  bool has_shape = false;
  bool with_distance = false;
  bool with_hash = false;
  bool with_point = false;
  bool any = false;
  Order order = Order::kNone;
  uint64_t count = 0;  // 0: all
  std::optional<std::string_view> store;
  bool store_distance = false;
};

struct Found {
  std::string member;
  double score = 0;
  GeoPoint point;
  double distance_m = 0;
};

absl::StatusOr<double> LengthArg(std::string_view arg, std::string_view name) {
  const std::optional<double> length = resp::ParseDouble(arg);
  if (!length) return InvalidArgument("ERR need numeric {}", name);
  return *length;
}

// "radius unit".
absl::Status ParseCircle(Args words, Request* request) {
  TM_ASSIGN_OR_RETURN(const double radius, LengthArg(words[0], "radius"));
  if (radius < 0) return InvalidArgument("ERR radius cannot be negative");
  TM_ASSIGN_OR_RETURN(request->unit_m, GeoUnitArg(words[1]));
  request->shape.radius_m = radius * request->unit_m;
  request->has_shape = true;
  return absl::OkStatus();
}

// "width height unit".
absl::Status ParseBox(Args words, Request* request) {
  TM_ASSIGN_OR_RETURN(const double width, LengthArg(words[0], "width"));
  TM_ASSIGN_OR_RETURN(const double height, LengthArg(words[1], "height"));
  if (width < 0 || height < 0) return InvalidArgument("ERR height or width cannot be negative");
  TM_ASSIGN_OR_RETURN(request->unit_m, GeoUnitArg(words[2]));
  request->shape.is_box = true;
  request->shape.width_m = width * request->unit_m;
  request->shape.height_m = height * request->unit_m;
  request->has_shape = true;
  return absl::OkStatus();
}

// A key that is not there has no members, and then nobody asks where they are.
absl::Status CenterOnMember(Zset& zset, std::string_view member, Request* request) {
  request->has_center = true;
  if (!zset.key()) return absl::OkStatus();
  TM_ASSIGN_OR_RETURN(const std::optional<GeoPoint> point, PointOfMember(zset, member));
  if (!point) return InvalidArgument("ERR could not decode requested zset member");
  request->shape.center = *point;
  return absl::OkStatus();
}

// A word that only switches something; false when it is none.
bool ParseSwitch(std::string_view word, Request* request) {
  if (EqualsIgnoreCase(word, "withdist")) {
    request->with_distance = true;
  } else if (EqualsIgnoreCase(word, "withhash")) {
    request->with_hash = true;
  } else if (EqualsIgnoreCase(word, "withcoord")) {
    request->with_point = true;
  } else if (EqualsIgnoreCase(word, "any")) {
    request->any = true;
  } else if (EqualsIgnoreCase(word, "asc")) {
    request->order = Order::kAscending;
  } else if (EqualsIgnoreCase(word, "desc")) {
    request->order = Order::kDescending;
  } else {
    return false;
  }
  return true;
}

// GEOSEARCH's own options, at words[0]; the number of words taken, 0 when it is none of them.
absl::StatusOr<size_t> ParseArea(Zset& zset, Args words, Request* request, bool* from_point, bool* from_member) {
  if (EqualsIgnoreCase(words[0], "frommember") && words.size() > 1 && !*from_point) {
    *from_member = true;
    TM_RETURN_IF_ERROR(CenterOnMember(zset, words[1], request));
    return 2;
  }
  if (EqualsIgnoreCase(words[0], "fromlonlat") && words.size() > 2 && !*from_member) {
    *from_point = true;
    TM_ASSIGN_OR_RETURN(request->shape.center, GeoPointArgs(words[1], words[2]));
    request->has_center = true;
    return 3;
  }
  if (EqualsIgnoreCase(words[0], "byradius") && words.size() > 2 && !request->shape.is_box) {
    TM_RETURN_IF_ERROR(ParseCircle(words.subspan(1), request));
    return 3;
  }
  const bool is_circle = request->has_shape && !request->shape.is_box;
  if (EqualsIgnoreCase(words[0], "bybox") && words.size() > 3 && !is_circle) {
    TM_RETURN_IF_ERROR(ParseBox(words.subspan(1), request));
    return 4;
  }
  return 0;
}

// COUNT and where to store, at words[0]; the number of words taken, 0 when it is none of them.
absl::StatusOr<size_t> ParseOutcome(Args words, const Form& form, Request* request) {
  const bool has_value = words.size() > 1;
  if (EqualsIgnoreCase(words[0], "count") && has_value) {
    TM_ASSIGN_OR_RETURN(const int64_t count, IntegerArg(words[1]));
    if (count <= 0) return InvalidArgument("ERR COUNT must be > 0");
    request->count = static_cast<uint64_t>(count);
    return 2;
  }
  const bool distance = EqualsIgnoreCase(words[0], "storedist");
  if (form.may_store && has_value && (distance || EqualsIgnoreCase(words[0], "store"))) {
    request->store = words[1];
    request->store_distance = distance;
    return 2;
  }
  if (form.stores && distance) {
    request->store_distance = true;
    return 1;
  }
  return 0;
}

absl::Status ParseOptions(Zset& zset, Args options, const Form& form, Request* request) {
  bool from_point = false;
  bool from_member = false;
  while (!options.empty()) {
    size_t taken = ParseSwitch(options[0], request) ? 1 : 0;
    if (taken == 0) {
      TM_ASSIGN_OR_RETURN(taken, ParseOutcome(options, form, request));
    }
    if (taken == 0 && !form.radius) {
      TM_ASSIGN_OR_RETURN(taken, ParseArea(zset, options, request, &from_point, &from_member));
    }
    if (taken == 0) return SyntaxError();
    options = options.subspan(taken);
  }
  return absl::OkStatus();
}

absl::Status CheckRequest(const Request& request, const Form& form, std::string_view command) {
  if (request.store && (request.with_distance || request.with_hash || request.with_point)) {
    return InvalidArgument("ERR {} is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                           form.stores ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
  }
  if (!request.has_center) {
    return InvalidArgument("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}", command);
  }
  if (!request.has_shape) {
    return InvalidArgument("ERR exactly one of BYRADIUS and BYBOX can be specified for {}", command);
  }
  if (request.any && request.count == 0) return InvalidArgument("ERR the ANY argument requires COUNT argument");
  return absl::OkStatus();
}

absl::StatusOr<Request> ParseRequest(Context& ctx, Zset& zset, const Form& form) {
  Request request;
  size_t at = 2;
  if (form.stores) {
    request.store = ctx.args[1];
    at = 3;
  } else if (form.from_member) {
    at = 5;
    TM_RETURN_IF_ERROR(CenterOnMember(zset, ctx.args[2], &request));
    // As in Redis, nobody looks at the circle either when there is no key.
    request.has_shape = true;
    if (zset.key()) TM_RETURN_IF_ERROR(ParseCircle(ctx.args.subspan(3), &request));
  } else if (form.radius) {
    at = 6;
    TM_ASSIGN_OR_RETURN(request.shape.center, GeoPointArgs(ctx.args[2], ctx.args[3]));
    request.has_center = true;
    TM_RETURN_IF_ERROR(ParseCircle(ctx.args.subspan(4), &request));
  }
  TM_RETURN_IF_ERROR(ParseOptions(zset, ctx.args.subspan(at), form, &request));
  TM_RETURN_IF_ERROR(CheckRequest(request, form, ctx.args[0]));
  // The closest are wanted, unless any will do.
  if (request.count != 0 && request.order == Order::kNone && !request.any) request.order = Order::kAscending;
  return request;
}

absl::StatusOr<std::vector<Found>> Search(Zset& zset, const Request& request) {
  std::vector<Found> found;
  const uint64_t enough = request.any ? request.count : Zset::kNoLimit;
  for (const types::GeohashRange& range : types::CoveringRanges(request.shape)) {
    const types::ScoreRange scores{types::ScoreBegin(static_cast<double>(range.begin)),
                                   types::ScoreBegin(static_cast<double>(range.end))};
    if (found.size() >= enough) break;
    TM_RETURN_IF_ERROR(zset.Visit(scores, false, 0, Zset::kNoLimit, [&](std::string_view member, double score) {
      const GeoPoint point = types::PointOf(GeohashOfScore(score));
      const std::optional<double> distance_m = types::DistanceInside(request.shape, point);
      if (distance_m) found.push_back({std::string(member), score, point, *distance_m});
      return found.size() < enough;
    }));
  }
  const auto closer = [](const Found& a, const Found& b) { return a.distance_m < b.distance_m; };
  if (request.order == Order::kAscending) std::stable_sort(found.begin(), found.end(), closer);
  if (request.order == Order::kDescending) {
    std::stable_sort(found.begin(), found.end(), [&](const Found& a, const Found& b) { return closer(b, a); });
  }
  if (request.count != 0 && found.size() > request.count) found.resize(request.count);
  return found;
}

void Reply(Context& ctx, const Request& request, std::span<const Found> found) {
  const size_t parts = 1 + (request.with_distance ? 1 : 0) + (request.with_hash ? 1 : 0) + (request.with_point ? 1 : 0);
  ctx.out.Array(found.size());
  for (const Found& place : found) {
    if (parts > 1) ctx.out.Array(parts);
    ctx.out.Bulk(place.member);
    if (request.with_distance) WriteGeoDistance(ctx.out, place.distance_m / request.unit_m);
    if (request.with_hash) ctx.out.Integer(static_cast<int64_t>(place.score));
    if (request.with_point) WriteGeoPoint(ctx.out, place.point);
  }
}

absl::Status Run(Context& ctx, const Form& form) {
  TM_ASSIGN_OR_RETURN(Zset zset, Zset::Lookup(ctx.keys(), ctx.args[form.stores ? 2 : 1]));
  TM_ASSIGN_OR_RETURN(const Request request, ParseRequest(ctx, zset, form));
  std::vector<Found> found;
  if (zset.key()) {
    TM_ASSIGN_OR_RETURN(found, Search(zset, request));
  }
  if (!request.store) {
    Reply(ctx, request, found);
    return absl::OkStatus();
  }
  std::vector<ScoredMember> members;
  members.reserve(found.size());
  for (Found& place : found) {
    members.push_back(
        {std::move(place.member), request.store_distance ? place.distance_m / request.unit_m : place.score});
  }
  return StoreMembers(ctx, *request.store, members, form.radius ? "georadiusstore" : "geosearchstore");
}

}  // namespace

absl::Status GeoSearch(Context& ctx) { return Run(ctx, {}); }
absl::Status GeoSearchStore(Context& ctx) { return Run(ctx, {.stores = true}); }
absl::Status GeoRadius(Context& ctx) { return Run(ctx, {.radius = true, .may_store = true}); }
absl::Status GeoRadiusRo(Context& ctx) { return Run(ctx, {.radius = true}); }
absl::Status GeoRadiusByMember(Context& ctx) {
  return Run(ctx, {.radius = true, .from_member = true, .may_store = true});
}
absl::Status GeoRadiusByMemberRo(Context& ctx) { return Run(ctx, {.radius = true, .from_member = true}); }

std::vector<int> GeoRadiusKeys(Args args) {
  std::vector<int> positions{1};
  for (size_t i = 5; i + 1 < args.size(); ++i) {
    if (!EqualsIgnoreCase(args[i], "store") && !EqualsIgnoreCase(args[i], "storedist")) continue;
    positions.resize(1);
    positions.push_back(static_cast<int>(++i));
  }
  return positions;
}

}  // namespace tidemark::commands
