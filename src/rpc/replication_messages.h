// replication/wire.h and proto/tidemark/v1/replication.proto, field by field.
#pragma once

#include <tidemark/v1/replication.pb.h>

#include "base/status.h"
#include "replication/wire.h"

namespace tidemark::rpc {

void Write(const replication::Hello& in, v1::Hello* out);
void Write(const replication::Welcome& in, v1::Welcome* out);
void Write(replication::Chunk in, v1::Chunk* out);
void Write(const replication::Ack& in, v1::Ack* out);
void Write(const replication::FilePart& in, v1::FilePart* out);

// INVALID_ARGUMENT for what no node of this version sends.
absl::StatusOr<replication::Hello> Read(const v1::Hello& in);
absl::StatusOr<replication::Welcome> Read(const v1::Welcome& in);
// Take the bytes out of the message.
replication::Chunk Read(v1::Chunk&& in);
replication::FilePart Read(v1::FilePart&& in);
replication::Ack Read(const v1::Ack& in);

}  // namespace tidemark::rpc
