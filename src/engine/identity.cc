#include "engine/identity.h"

#include <nlohmann/json.hpp>

#include "env/random.h"
#include "types/rows.h"

namespace tidemark::engine {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kRowName = "cluster";

absl::Status Malformed() { return Errorf(absl::StatusCode::kDataLoss, "the row of the cluster's identity is damaged"); }

}  // namespace

std::string EncodeIdentity(const Identity& identity) {
  Json ancestors = Json::array();
  for (const Ancestor& ancestor : identity.ancestors) {
    ancestors.push_back(
        {{"timeline", ancestor.timeline.value}, {"timeline_id", IdToHex(ancestor.id)}, {"fork", ancestor.fork.value}});
  }
  return Json{{"cluster_id", IdToHex(identity.cluster_id)},
              {"timeline", identity.timeline.value},
              {"timeline_id", IdToHex(identity.timeline_id)},
              {"parent", identity.parent.value},
              {"fork", identity.fork.value},
              {"fork_timestamp", identity.fork_timestamp.micros},
              {"created_micros", identity.created_micros},
              {"reason", identity.reason},
              {"ancestors", ancestors}}
      .dump();
}

absl::StatusOr<Identity> DecodeIdentity(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) return Malformed();
  try {
    const auto cluster = IdFromHex(parsed.at("cluster_id").get<std::string>());
    const auto timeline = IdFromHex(parsed.at("timeline_id").get<std::string>());
    if (!cluster || !timeline) return Malformed();
    std::vector<Ancestor> ancestors;
    // Identities of earlier versions know of none.
    for (const Json& ancestor : parsed.value("ancestors", Json::array())) {
      const auto id = IdFromHex(ancestor.at("timeline_id").get<std::string>());
      if (!id) return Malformed();
      ancestors.push_back(
          {Timeline{ancestor.at("timeline").get<uint32_t>()}, *id, Lsn{ancestor.at("fork").get<uint64_t>()}});
    }
    return Identity{.cluster_id = *cluster,
                    .timeline = Timeline{parsed.at("timeline").get<uint32_t>()},
                    .timeline_id = *timeline,
                    .parent = Timeline{parsed.at("parent").get<uint32_t>()},
                    .fork = Lsn{parsed.at("fork").get<uint64_t>()},
                    .fork_timestamp = Timestamp{parsed.at("fork_timestamp").get<uint64_t>()},
                    .created_micros = parsed.at("created_micros").get<uint64_t>(),
                    .reason = parsed.at("reason").get<std::string>(),
                    .ancestors = std::move(ancestors)};
  } catch (const Json::exception&) {
    return Malformed();
  }
}

absl::StatusOr<std::optional<Identity>> ReadIdentity(kv::Txn& txn) {
  TM_ASSIGN_OR_RETURN(const kv::Value value, txn.Get(types::SystemRow(kRowName).view()));
  if (!value) return std::nullopt;
  TM_ASSIGN_OR_RETURN(Identity identity, DecodeIdentity(value.view()));
  return identity;
}

void WriteIdentity(kv::Txn& txn, const Identity& identity) {
  txn.Put(types::SystemRow(kRowName).view(), EncodeIdentity(identity));
}

Identity NextTimeline(const Identity& now, Timeline number, Lsn fork, Timestamp fork_timestamp, uint64_t created_micros,
                      std::string reason) {
  Identity next{.cluster_id = now.cluster_id,
                .timeline = number,
                .timeline_id = RandomId(),
                .parent = now.timeline,
                .fork = fork,
                .fork_timestamp = fork_timestamp,
                .created_micros = created_micros,
                .reason = std::move(reason),
                .ancestors = now.ancestors};
  next.ancestors.push_back({now.timeline, now.timeline_id, now.fork});
  return next;
}

absl::StatusOr<Identity> EnsureIdentity(Engine& engine, Clock& clock) {
  Identity result;
  TM_RETURN_IF_ERROR(engine.Write(kv::Tier::kDisk, /*growing=*/false, [&](kv::Txn& txn) -> absl::Status {
    TM_ASSIGN_OR_RETURN(const std::optional<Identity> present, ReadIdentity(txn));
    if (present.has_value()) {
      result = *present;
      return absl::OkStatus();
    }
    result = {.cluster_id = RandomId(),
              .timeline = engine.log().timeline(),
              .timeline_id = RandomId(),
              .parent = {},
              .fork = {},
              .fork_timestamp = {},
              .created_micros = clock.WallMicros(),
              .reason = "created",
              .ancestors = {}};
    WriteIdentity(txn, result);
    return absl::OkStatus();
  }));
  engine.EndTurn();
  return result;
}

}  // namespace tidemark::engine
