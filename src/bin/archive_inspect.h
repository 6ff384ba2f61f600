// One object of an archive in readable form.
#pragma once

#include "archive/key_ring.h"
#include "base/status.h"
#include "bin/archive_command.h"
#include "objstore/object_store.h"

namespace tidemark::bin {

// Prints on standard output and returns the exit code; errors are the caller's to print.
absl::StatusOr<int> InspectObject(objstore::ObjectStore& store, const archive::KeyRing& keys,
                                  const ArchiveCommandArguments& arguments);

}  // namespace tidemark::bin
