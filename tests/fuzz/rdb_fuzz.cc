// Any bytes as a DUMP payload with a right checksum, and as an RDB file: readers never read outside them or hold more
// than they claim and bring; what they accept comes out the same after it was written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "format/rdb_describe.h"
#include "format/rdb_file.h"
#include "format/rdb_writer.h"

namespace {

using namespace tidemark::format;  // NOLINT(google-build-using-namespace): what is under test

void Require(bool holds) {
  if (!holds) std::abort();
}

struct Counter final : RdbNullSink {
  uint64_t count = 0;
  bool writable = true;
  absl::Status Tell() {
    ++count;
    return absl::OkStatus();
  }
  absl::Status String(std::string_view) override { return Tell(); }
  absl::Status Element(std::string_view) override { return Tell(); }
  absl::Status Member(std::string_view) override { return Tell(); }
  absl::Status Scored(std::string_view, double) override { return Tell(); }
  absl::Status Field(std::string_view, std::string_view, uint64_t expire_ms) override {
    writable = writable && expire_ms == 0;
    return Tell();
  }
  absl::Status Entry(const RdbStreamId&, std::span<const std::string>) override { return Tell(); }
};

struct Rewriter final : RdbValueWriter {
  uint64_t count = 0;
  absl::Status Begin(RdbKind kind, std::optional<uint64_t> /*claimed*/) override {
    return RdbValueWriter::Begin(kind, count);
  }
};

void CheckValue(std::string_view body) {
  RdbDescriber first;
  if (!ReadRdbBody(body, &first).ok()) return;
  Counter counter;
  Require(ReadRdbBody(body, &counter).ok());
  if (!counter.writable) return;
  Rewriter writer;
  writer.count = counter.count;
  Require(ReadRdbBody(body, &writer).ok());
  writer.FinishPayload();
  Require(DescribeRdbPayload(writer.bytes()) == first.text);
}

struct Keys final : RdbVisitor {
  RdbDescriber sink;
  absl::Status Version(uint16_t, bool) override { return absl::OkStatus(); }
  absl::Status Aux(std::string_view, std::string_view) override { return absl::OkStatus(); }
  absl::Status Function(std::string_view) override { return absl::OkStatus(); }
  absl::StatusOr<RdbSink*> Key(const RdbKey&) override {
    sink.text.clear();
    return &sink;
  }
  absl::Status Module(const RdbKey&, std::string_view) override { return absl::OkStatus(); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of exactly these bytes, so that the address sanitizer sees a read of any other.
  const std::vector<char> copy(data, data + size);
  const std::string_view bytes(copy.data(), copy.size());
  CheckValue(bytes);
  Keys keys;
  RdbInput in(bytes);
  ReadRdbFile(&in, &keys).IgnoreError();
  return 0;
}
