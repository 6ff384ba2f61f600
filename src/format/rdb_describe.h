// What a sink of RDB values is told, on one line: for tests.
#pragma once

#include <fmt/ranges.h>

#include <string>

#include "format/rdb_value.h"

namespace tidemark::format {

class RdbDescriber final : public RdbSink {
 public:
  std::string text;

  absl::Status Begin(RdbKind kind, std::optional<uint64_t> /*count*/) override { return Say(RdbKindName(kind)); }
  absl::Status String(std::string_view bytes) override { return Say(Short(bytes)); }
  absl::Status Element(std::string_view element) override { return Say(Short(element)); }
  absl::Status Member(std::string_view member) override { return Say(Short(member)); }
  absl::Status Scored(std::string_view member, double score) override {
    return Say(fmt::format("{}:{}", Short(member), score));
  }
  absl::Status Field(std::string_view field, std::string_view value, uint64_t expire_ms) override {
    const std::string expiry = expire_ms == 0 ? "" : fmt::format("@{}", expire_ms);
    return Say(fmt::format("{}={}{}", Short(field), Short(value), expiry));
  }
  absl::Status Entry(const RdbStreamId& id, std::span<const std::string> fields) override {
    return Say(fmt::format("{}({})", id.text(), fmt::join(fields, ",")));
  }
  absl::Status State(const RdbStreamState& state) override {
    return Say(fmt::format("length={} last={} first={} deleted={} added={} groups={}", state.length, state.last.text(),
                           state.first.text(), state.max_deleted.text(), state.entries_added, state.groups));
  }
  absl::Status Group(const RdbGroup& group) override {
    return Say(fmt::format("group {} {} {}", group.name, group.last.text(), group.entries_read));
  }
  absl::Status Consumer(const RdbConsumer& consumer) override {
    return Say(fmt::format("consumer {} {}", consumer.name, consumer.seen_ms));
  }
  absl::Status Pending(const RdbPending& pending) override {
    return Say(fmt::format("pending {} {} {}", pending.id.text(), pending.delivered_ms, pending.deliveries));
  }
  absl::Status End() override { return Say("."); }

 private:
  static std::string Short(std::string_view bytes) {
    if (bytes.size() <= 80) return std::string(bytes);
    return fmt::format("{}x{}", bytes.substr(0, 1), bytes.size());
  }
  absl::Status Say(std::string_view words) {
    if (!text.empty()) text += ' ';
    text += words;
    return absl::OkStatus();
  }
};

// "error: …" instead, when the payload cannot be read.
inline std::string DescribeRdbPayload(std::string_view payload) {
  RdbDescriber describer;
  const absl::Status read = ReadRdbPayload(payload, &describer);
  return read.ok() ? describer.text : fmt::format("error: {}", Message(read));
}

}  // namespace tidemark::format
