#include "bin/archive_inspect.h"

#include <nlohmann/json.hpp>

#include "archive/base.h"
#include "archive/catalog.h"
#include "archive/codec.h"
#include "archive/file_codec.h"
#include "bin/output.h"
#include "log/inspect.h"

namespace tidemark::bin {
namespace {

using Json = nlohmann::ordered_json;

std::string_view StoredAs(uint32_t flags) {
  const bool encrypted = (flags & format::kAes256Gcm) != 0;
  if ((flags & format::kZstd) != 0) return encrypted ? "zstd, AES-256-GCM" : "zstd";
  return encrypted ? "AES-256-GCM" : "plain";
}

Json HeaderToJson(const format::ObjectHeader& header) {
  Json json{{"kind", header.is_file ? "file" : "log"},
            {"cluster_id", IdToHex(header.cluster_id)},
            {"stored_as", StoredAs(header.flags)},
            {"key_id", (header.flags & format::kAes256Gcm) != 0 ? Json(IdToHex(header.key_id)) : Json(nullptr)},
            {"blocks", header.blocks},
            {"stored_bytes", header.stored_bytes},
            {"plain_bytes", header.plain_bytes},
            {"plain_hash", IdToHex(header.plain_hash)}};
  if (header.is_file) return json;
  json["timeline"] = header.timeline.value;
  json["timeline_id"] = IdToHex(header.timeline_id);
  json["first_lsn"] = header.first.value;
  json["end_lsn"] = header.end.value;
  json["first_micros"] = header.first_timestamp.micros;
  json["closed_micros"] = header.closed_timestamp.micros;
  json["records"] = header.records;
  json["previous_crc"] = fmt::format("{:08x}", header.previous_crc);
  json["last_crc"] = fmt::format("{:08x}", header.last_crc);
  return json;
}

void PrintHeader(const format::ObjectHeader& header, bool json) {
  const Json fields = HeaderToJson(header);
  if (json) {
    fmt::print("{}\n", fields.dump());
    return;
  }
  for (const auto& [name, value] : fields.items()) {
    if (value.is_null()) continue;
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    const bool time = name.ends_with("_micros");
    fmt::print("{:<14}{}{}\n", name, text, time ? fmt::format("  {}", HumanTime(value.get<uint64_t>())) : "");
  }
}

void PrintRecord(const format::RecordHeader& header, std::string_view payload, bool json) {
  const std::string entries = log::DescribePayload(payload);
  if (json) {
    const Json fields{
        {"lsn", header.lsn.value}, {"timeline", header.timeline.value}, {"timestamp", header.timestamp.micros},
        {"length", header.length}, {"durable", header.durable.value},   {"entries", entries}};
    fmt::print("{}\n", fields.dump(-1, ' ', true, Json::error_handler_t::replace));
    return;
  }
  fmt::print("LSN {} timeline {} timestamp {} length {} durable {}\n{}", header.lsn.value, header.timeline.value,
             header.timestamp.micros, header.length, header.durable.value, entries);
}

// Prints the records as far as they are whole.
absl::Status PrintRecords(archive::ObjectReader& reader, const ArchiveCommandArguments& arguments) {
  const format::ObjectHeader& object = reader.header();
  archive::ChainChecker chain(object.timeline, object.first,
                              object.records > 0 ? std::optional(object.previous_crc) : std::nullopt);
  std::string plain;
  uint64_t printed = 0;
  for (bool more = true; more;) {
    TM_ASSIGN_OR_RETURN(more, reader.Next(&plain));
    std::string_view rest = plain;
    while (rest.size() >= format::kRecordHeaderSize &&
           (!more || format::DecodeRecordHeader(rest.data()).size() <= rest.size())) {
      format::RecordHeader record;
      TM_RETURN_IF_ERROR(chain.Step(rest, &record));
      if (record.lsn >= Lsn{arguments.from} && printed < arguments.limit) {
        ++printed;
        PrintRecord(record, rest.substr(format::kRecordHeaderSize, record.length), arguments.json);
      }
      rest.remove_prefix(record.size());
    }
    plain.erase(0, plain.size() - rest.size());
  }
  return plain.empty() ? absl::OkStatus() : Errorf(absl::StatusCode::kDataLoss, "the last record is cut short");
}

absl::Status InspectLog(const std::string& bytes, const archive::KeyRing& keys,
                        const ArchiveCommandArguments& arguments) {
  TM_ASSIGN_OR_RETURN(const format::ObjectHeader header, format::DecodeObjectHeader(bytes));
  PrintHeader(header, arguments.json);
  TM_ASSIGN_OR_RETURN(const auto reader, archive::ObjectReader::Open(bytes, keys));
  TM_RETURN_IF_ERROR(PrintRecords(*reader, arguments));
  return archive::CheckLogObject(bytes, keys).status();
}

absl::Status InspectFile(objstore::ObjectStore& store, const format::FileName& name, const archive::KeyRing& keys,
                         const ArchiveCommandArguments& arguments) {
  TM_ASSIGN_OR_RETURN(const std::string head, store.GetRange(arguments.key, 0, format::kObjectHeaderSize));
  TM_ASSIGN_OR_RETURN(const format::ObjectHeader header, format::DecodeObjectHeader(head));
  PrintHeader(header, arguments.json);
  archive::FileDecoder decoder(keys, name, [](std::string_view) { return absl::OkStatus(); });
  TM_RETURN_IF_ERROR(store.GetStream(arguments.key, [&](std::string_view piece) { return decoder.Feed(piece); }));
  return decoder.Finish();
}

absl::Status CheckJson(std::string_view key, std::string_view text) {
  if (key == format::kArchiveIdentityName) return archive::DecodeIdentity(text).status();
  if (format::ParseTimelineKey(key)) return archive::DecodeTimeline(text).status();
  return archive::DecodeManifest(text).status();
}

absl::Status Inspect(objstore::ObjectStore& store, const archive::KeyRing& keys,
                     const ArchiveCommandArguments& arguments) {
  if (const auto file = format::ParseFileKey(arguments.key)) return InspectFile(store, *file, keys, arguments);
  TM_ASSIGN_OR_RETURN(const std::string bytes, store.Get(arguments.key));
  if (format::ParseLogObjectKey(arguments.key)) return InspectLog(bytes, keys, arguments);
  if (arguments.key.ends_with(".json")) {
    fmt::print("{}{}", bytes, bytes.ends_with('\n') ? "" : "\n");
    return CheckJson(arguments.key, bytes);
  }
  return InvalidArgument("{} is no object of an archive that could be shown", arguments.key);
}

}  // namespace

absl::StatusOr<int> InspectObject(objstore::ObjectStore& store, const archive::KeyRing& keys,
                                  const ArchiveCommandArguments& arguments) {
  const absl::Status status = Inspect(store, keys, arguments);
  if (!status.ok()) return Errorf(status.code(), "{}: {}", arguments.key, Message(status));
  if (!arguments.json) fmt::print(stderr, "{}: OK\n", arguments.key);
  return 0;
}

}  // namespace tidemark::bin
