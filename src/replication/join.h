// What a replica that calls is given: a pure decision over what the two nodes have.
//
// Two nodes have in common what lies before the place where their histories part. A replica whose log ends before it
// streams; one whose log alone goes beyond it cuts; everything else takes a snapshot.
#pragma once

#include <optional>
#include <string>

#include "replication/wire.h"

namespace tidemark::replication {

struct Common {
  Lsn lsn;            // both have the same log up to here
  Timeline timeline;  // of the records up to here, and of those that follow on either side
};
// nullopt for histories without a timeline in common. `a_end`, `b_end`: where the logs end.
std::optional<Common> FindCommon(const History& a, Lsn a_end, const History& b, Lsn b_end);

// What the node that is called has.
struct Holdings {
  std::string cluster_id;
  History history;
  Lsn oldest;                 // of its log
  Lsn end;                    // of its log
  bool archive = false;       // replicas may read what the log lacks from an archive
  bool has_snapshot = false;  // the snapshot that the replica names is still held, with the log from `staged` on
};

struct Decision {
  Verdict verdict = Verdict::kStream;
  Lsn from;             // as in Welcome; of a full sync: only when it goes on
  bool resume = false;  // a full sync that goes on with the snapshot that the replica names
  std::string reason;
};
Decision Decide(const Hello& hello, const Holdings& own);

}  // namespace tidemark::replication
