#include "restore/state.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace tidemark::restore {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kStateFormat = 1;
constexpr std::array<std::pair<State::Step, std::string_view>, 3> kSteps{
    {{State::Step::kBase, "base"}, {State::Step::kLog, "log"}, {State::Step::kFinish, "finish"}}};
constexpr std::array<std::pair<ExpiryMode, std::string_view>, 3> kExpiryModes{
    {{ExpiryMode::kFreeze, "freeze"}, {ExpiryMode::kShift, "shift"}, {ExpiryMode::kApply, "apply"}}};

absl::Status Malformed(std::string_view why) {
  return Errorf(absl::StatusCode::kDataLoss,
                "restore.json is damaged ({}): empty the folder and begin the restore again", why);
}

Json EndToJson(const State::End& end) {
  return Json{{"lsn", end.lsn.value},
              {"last_crc", end.last_crc},
              {"last_record", end.last_record.micros},
              {"reached", end.reached.micros},
              {"on_timeline", end.on.value},
              {"short_micros", end.short_micros},
              {"short_bytes", end.short_bytes},
              {"new_timeline", end.new_timeline.value},
              {"new_timeline_id", IdToHex(end.new_timeline_id)},
              {"new_cluster", IdToHex(end.new_cluster)}};
}

// An id that is no id becomes a Json error, as a field that is missing is.
Id128 IdOf(const Json& json, const char* field) {
  const std::optional<Id128> id = IdFromHex(json.at(field).get<std::string>());
  if (!id) throw Json::other_error::create(501, std::string(field) + " is no id", &json);
  return *id;
}

State::End EndFromJson(const Json& json) {
  State::End end;
  end.lsn.value = json.at("lsn").get<uint64_t>();
  end.last_crc = json.at("last_crc").get<uint32_t>();
  end.last_record.micros = json.at("last_record").get<uint64_t>();
  end.reached.micros = json.at("reached").get<uint64_t>();
  end.on.value = json.at("on_timeline").get<uint32_t>();
  end.short_micros = json.at("short_micros").get<uint64_t>();
  end.short_bytes = json.at("short_bytes").get<uint64_t>();
  end.new_timeline.value = json.at("new_timeline").get<uint32_t>();
  end.new_timeline_id = IdOf(json, "new_timeline_id");
  end.new_cluster = IdOf(json, "new_cluster");
  return end;
}

}  // namespace

std::string_view ExpiryModeName(ExpiryMode mode) {
  for (const auto& [value, name] : kExpiryModes) {
    if (value == mode) return name;
  }
  return {};
}

std::optional<ExpiryMode> ParseExpiryMode(std::string_view name) {
  for (const auto& [value, text] : kExpiryModes) {
    if (text == name) return value;
  }
  return std::nullopt;
}

std::string EncodeState(const State& state) {
  Json json{{"format", kStateFormat},
            {"archive", state.archive},
            {"target", state.target},
            {"expiry", ExpiryModeName(state.expiry)},
            {"continue_cluster", state.continue_cluster},
            {"source_cluster", IdToHex(state.source_cluster)},
            {"timeline", state.timeline.value},
            {"base", state.base},
            {"begun_micros", state.begun_micros}};
  if (state.asked_timeline) json["asked_timeline"] = state.asked_timeline->value;
  for (const auto& [step, name] : kSteps) {
    if (step == state.step) json["step"] = name;
  }
  if (state.step == State::Step::kFinish) json["end"] = EndToJson(state.end);
  return json.dump(2) + "\n";
}

absl::StatusOr<State> DecodeState(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Malformed("it is not JSON");
  try {
    if (json.at("format").get<uint32_t>() != kStateFormat) {
      return Errorf(absl::StatusCode::kFailedPrecondition,
                    "the restore was begun by a newer release: go on with that, or begin again in an empty folder");
    }
    State state;
    state.archive = json.at("archive").get<std::string>();
    state.target = json.at("target").get<std::string>();
    const std::optional<ExpiryMode> expiry = ParseExpiryMode(json.at("expiry").get<std::string>());
    if (!expiry) return Malformed("it names no expiry mode that is known");
    state.expiry = *expiry;
    state.continue_cluster = json.at("continue_cluster").get<bool>();
    state.source_cluster = IdOf(json, "source_cluster");
    state.timeline.value = json.at("timeline").get<uint32_t>();
    state.base = json.at("base").get<std::string>();
    state.begun_micros = json.at("begun_micros").get<uint64_t>();
    if (json.contains("asked_timeline")) state.asked_timeline = Timeline{json.at("asked_timeline").get<uint32_t>()};
    const auto step_name = json.at("step").get<std::string>();
    bool known = false;
    for (const auto& [step, name] : kSteps) {
      if (name != step_name) continue;
      state.step = step;
      known = true;
    }
    if (!known) return Malformed("it names no step that is known");
    if (state.step == State::Step::kFinish) state.end = EndFromJson(json.at("end"));
    return state;
  } catch (const Json::exception& error) {
    return Malformed(error.what());
  }
}

absl::StatusOr<std::optional<State>> ReadState(FileSystem& fs, const std::string& folder) {
  const absl::StatusOr<std::string> text = ReadWholeFile(fs, fmt::format("{}/{}", folder, kStateFile));
  if (absl::IsNotFound(text.status())) return std::nullopt;
  TM_RETURN_IF_ERROR(text.status());
  TM_ASSIGN_OR_RETURN(State state, DecodeState(*text));
  return state;
}

absl::Status WriteState(FileSystem& fs, const std::string& folder, const State& state) {
  return ReplaceWholeFile(fs, folder, std::string(kStateFile), EncodeState(state));
}

absl::StatusOr<std::optional<Begun>> ReadBegun(FileSystem& fs, const std::string& folder) {
  TM_ASSIGN_OR_RETURN(const std::optional<State> state, ReadState(fs, folder));
  if (!state) return std::nullopt;
  return Begun{.archive = state->archive, .target = state->target, .base = state->base, .timeline = state->timeline};
}

}  // namespace tidemark::restore
