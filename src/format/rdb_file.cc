#include "format/rdb_file.h"

#include <optional>

#include "base/numbers.h"

namespace tidemark::format {
namespace {

constexpr size_t kMagicBytes = 9;
constexpr uint16_t kFirstWithChecksum = 5;
constexpr size_t kShownKeyBytes = 128;

class FileReader {
 public:
  FileReader(RdbInput* in, RdbVisitor* visitor) : in_(*in), visitor_(*visitor) {}

  absl::Status Read() {
    const absl::Status read = ReadAll();
    if (read.ok() || absl::IsCancelled(read)) return read;
    const std::string at = name_.empty() ? "" : fmt::format(", key '{}'", name_.substr(0, kShownKeyBytes));
    return Errorf(read.code(), "byte {}{}: {}", in_.position(), at, Message(read));
  }

 private:
  absl::Status ReadAll() {
    TM_RETURN_IF_ERROR(ReadMagic());
    while (true) {
      name_.clear();
      TM_ASSIGN_OR_RETURN(const uint8_t opcode, in_.Byte());
      if (opcode == kOpcodeEof) return ReadChecksum();
      TM_RETURN_IF_ERROR(opcode >= kOpcodeFirst ? ReadOpcode(opcode) : ReadKey(opcode));
    }
  }

  absl::Status ReadMagic() {
    std::string magic;
    const absl::Status read = in_.Bytes(kMagicBytes, &magic);
    const std::string_view text = magic;
    const bool valkey = text.starts_with("VALKEY");
    if (!read.ok() || (!valkey && !text.starts_with("REDIS"))) return absl::DataLossError("this is no RDB file");
    unsigned number = 0;
    for (const char digit : text.substr(valkey ? 6 : 5)) {
      if (digit < '0' || digit > '9') return absl::DataLossError("this is no RDB file");
      number = number * 10 + static_cast<unsigned>(digit - '0');
    }
    if (!IsKnownRdbVersion(static_cast<uint16_t>(number))) {
      return Errorf(absl::StatusCode::kDataLoss,
                    "RDB version {} is not known here: versions up to {}, and {} of Valkey, are", number,
                    kRdbVersionMax, kRdbVersionValkey);
    }
    version_ = static_cast<uint16_t>(number);
    return visitor_.Version(version_, valkey);
  }

  absl::Status ReadChecksum() {
    if (version_ < kFirstWithChecksum) return absl::OkStatus();
    const uint64_t computed = in_.crc();
    TM_ASSIGN_OR_RETURN(const uint64_t written, in_.Little<uint64_t>());
    // 0: written with rdbchecksum no.
    if (written == 0 || written == computed) return absl::OkStatus();
    return absl::DataLossError("the file's checksum is wrong: it is damaged");
  }

  absl::Status ReadOpcode(uint8_t opcode) {
    switch (opcode) {
      case kOpcodeExpireMs: {
        TM_ASSIGN_OR_RETURN(const int64_t ms, in_.Little<int64_t>());
        SetExpiry(ms);
        return absl::OkStatus();
      }
      case kOpcodeExpireSeconds: {
        TM_ASSIGN_OR_RETURN(const int32_t seconds, in_.Little<int32_t>());
        SetExpiry(int64_t{seconds} * 1000);
        return absl::OkStatus();
      }
      case kOpcodeFreq:
        return in_.Byte().status();
      case kOpcodeIdle:
        return in_.Length().status();
      case kOpcodeSelectDb: {
        TM_ASSIGN_OR_RETURN(key_.db, in_.Length());
        return absl::OkStatus();
      }
      case kOpcodeResizeDb:
        return SkipLengths(2);
      case kOpcodeSlotInfo:
        return SkipLengths(3);
      case kOpcodeSlotImport: {
        TM_RETURN_IF_ERROR(in_.SkipString());
        TM_ASSIGN_OR_RETURN(const uint64_t ranges, in_.Length());
        for (uint64_t i = 0; i < ranges; ++i) TM_RETURN_IF_ERROR(SkipLengths(2));
        return absl::OkStatus();
      }
      case kOpcodeAux: {
        std::string name;
        TM_RETURN_IF_ERROR(in_.String(&name));
        TM_RETURN_IF_ERROR(in_.String(&scratch_));
        return visitor_.Aux(name, scratch_);
      }
      case kOpcodeFunction2:
        TM_RETURN_IF_ERROR(in_.String(&scratch_));
        return visitor_.Function(scratch_);
      case kOpcodeModuleAux: {
        TM_ASSIGN_OR_RETURN(const std::string module, SkipRdbModuleAux(&in_));
        RdbKey beside;
        beside.db = key_.db;
        return visitor_.Module(beside, module);
      }
      default:
        return Errorf(absl::StatusCode::kUnimplemented, "opcode {} is unknown here", opcode);
    }
  }

  void SetExpiry(int64_t ms) {
    key_.has_expiry = true;
    key_.expire_ms = ms < 0 ? 0 : static_cast<uint64_t>(ms);
  }

  absl::Status SkipLengths(int count) {
    for (int i = 0; i < count; ++i) TM_RETURN_IF_ERROR(in_.Length().status());
    return absl::OkStatus();
  }

  absl::Status ReadKey(uint8_t type) {
    TM_RETURN_IF_ERROR(in_.String(&name_));
    key_.name = name_;
    const RdbKey key = key_;
    key_.expire_ms = 0;
    key_.has_expiry = false;
    if (IsRdbModule(type)) {
      TM_ASSIGN_OR_RETURN(const std::string module, SkipRdbModule(type, &in_));
      return visitor_.Module(key, module);
    }
    TM_ASSIGN_OR_RETURN(RdbSink * sink, visitor_.Key(key));
    RdbNullSink dropped;
    return ReadRdbValue(type, version_, &in_, sink == nullptr ? &dropped : sink);
  }

  RdbInput& in_;
  RdbVisitor& visitor_;
  uint16_t version_ = 0;
  RdbKey key_;
  std::string name_;
  std::string scratch_;
};

}  // namespace

absl::Status ReadRdbFile(RdbInput* in, RdbVisitor* visitor) { return FileReader(in, visitor).Read(); }

}  // namespace tidemark::format
