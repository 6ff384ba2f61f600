/* The race between a snapshot's mark, the hold on the log, and the purge, as a model that spin searches exhaustively.
 *
 * One primary appends, persists its store, purges its log at any moment, and may crash; one replica asks for a full
 * sync, receives files and log at the same time, stalls, dies, comes back or does not. Positions are counted in
 * records. The log is its durable part; a lease stands in memory and on disk, as in src/log/lease_table.h.
 *
 * Without a macro this is Tidemark's order (docs/architecture.md, src/log/). Each macro breaks one thing:
 *   PIKA              the position is marked first, the state that stops the purge is set a moment later
 *   RELEASE_EARLY     the snapshot's lease is released before the replica's is taken
 *   UNSYNCED_LEASE    a lease is used before it is on disk
 *   UNSYNCED_SHIPMENT the replica's lease follows what the replica has received, not what it has synced
 *   UNLOCKED          the engine's position is read outside of the purge's critical section, and the purge has none
 *   SILENT_BREAK      a lease past its cap stops holding, and nothing says so
 *   MARK_APART        the snapshot's position is not read out of the snapshot
 *
 * What must hold in every run:
 *   promise 3  the log covers every lease that is not broken; it is broken by its cap only, and says so
 *   promise 4  one request leads to at most one transfer of a snapshot
 *   the check before a transfer fails only for a lease that says it is broken
 *   the replica's store is the snapshot and the log from exactly its position on
 *   every run ends, whatever the schedule: with a replica that has the whole log, is told why not, or is gone for ever
 */
#ifndef RECORDS
#define RECORDS 4 /* the primary appends */
#endif
#ifndef CAP
#define CAP 2 /* records of log that a bounded lease may hold */
#endif
#ifndef CRASHES
#define CRASHES 1 /* of the primary */
#endif
#ifndef DEATHS
#define DEATHS 1 /* of the replica */
#endif
#define FILES 2 /* of a snapshot */

/* Leases. The engine's is required, and always there; the other two are bounded by the cap. */
#define SNAPSHOT 0
#define REPLICA 1
typedef Lease {
  bool taken;
  bool broken;
  byte at;
};
Lease memory[2];
Lease disk[2];
byte engine_memory, engine_disk;

byte log_begin, log_end; /* the log has the records in [begin, end) */
byte persisted;          /* the store on disk is the log up to here */
bool locked;             /* the critical section of takes and purge */
bool changed;            /* since the last purge: another one may have an effect */
byte limit;
byte purge_step;

/* The primary's side of a full sync. */
mtype = { IDLE, ASKED, HELD, MARKED, MADE, CHECKED, SENDING, OVER };
mtype step = IDLE;
byte snapshot_data; /* what the snapshot contains */
byte snapshot_lsn;  /* what is taken for its position */
byte transfers;
byte crashes;

/* The replica's side. */
bool alive = true, gone, told, installed;
byte files, received, synced;
byte deaths;

#define Holds(lease) (lease.taken && !lease.broken)
#define Covered(i) (!Holds(memory[i]) || log_begin <= memory[i].at)
#define PastCap(i) (Holds(memory[i]) && log_end - memory[i].at > CAP)

inline PersistLeases() {
  engine_disk = engine_memory;
  disk[SNAPSHOT].taken = memory[SNAPSHOT].taken;
  disk[SNAPSHOT].broken = memory[SNAPSHOT].broken;
  disk[SNAPSHOT].at = memory[SNAPSHOT].at;
  disk[REPLICA].taken = memory[REPLICA].taken;
  disk[REPLICA].broken = memory[REPLICA].broken;
  disk[REPLICA].at = memory[REPLICA].at
}

inline Take(i, position) {
  memory[i].taken = true;
  memory[i].broken = false;
  memory[i].at = position;
#ifndef UNSYNCED_LEASE
  PersistLeases();
#endif
  changed = true
}

inline Release(i) {
  memory[i].taken = false;
  memory[i].at = 0;
  PersistLeases();
  changed = true
}

inline Break(i) {
  if
  :: PastCap(i) ->
     printf("purge: lease %d at %d is past its cap\n", i, memory[i].at);
#ifdef SILENT_BREAK
     memory[i].taken = false
#else
     memory[i].broken = true
#endif
  :: else
  fi
}

/* A lease holds where it stands in memory and where it stands on disk. */
inline Lower(i) {
  if :: Holds(memory[i]) && memory[i].at < limit -> limit = memory[i].at :: else fi;
  if :: Holds(disk[i]) && disk[i].at < limit -> limit = disk[i].at :: else fi
}

inline BeginTransfer() {
  assert(transfers == 0); /* promise 4 */
  transfers++;
  received = snapshot_lsn;
  synced = snapshot_lsn;
  files = 0;
  step = SENDING;
  printf("transfer: begins, of a snapshot at %d\n", snapshot_lsn)
}

/* What Pika does, and whoever else finds the log gone without having been told. */
inline AskAgain() {
  printf("replica: position %d was purged (the log begins at %d), asks for another full sync\n", received, log_begin);
  memory[REPLICA].taken = false;
  installed = false;
  step = ASKED
}

active proctype Writer() {
end:
  do
  :: atomic { step != OVER && log_end < RECORDS -> log_end++; changed = true }
  od
}

active proctype Engine() {
end:
  do
  :: atomic { persisted < log_end -> persisted = log_end }
  :: atomic { engine_memory < persisted -> engine_memory = persisted; changed = true }
  od
}

active proctype Purge() {
end:
  do
#ifdef UNLOCKED
  :: atomic { purge_step == 0 && changed ->
#else
  :: atomic { purge_step == 0 && changed && !locked -> locked = true;
#endif
       changed = false;
       Break(SNAPSHOT);
       Break(REPLICA);
       PersistLeases();
       purge_step = 1 }
  :: atomic { purge_step == 1 ->
       limit = (engine_memory < engine_disk -> engine_memory : engine_disk);
       Lower(SNAPSHOT);
       Lower(REPLICA);
       purge_step = 2 }
  :: atomic { purge_step == 2 ->
       if
       :: limit > log_begin -> log_begin = limit; printf("purge: the log begins at %d\n", log_begin)
       :: else
       fi;
       limit = 0;
       purge_step = 0;
       locked = false }
  od
}

active proctype FullSync() {
  byte seen;
end:
  do
#ifdef PIKA
  :: atomic { step == ASKED ->
       snapshot_data = persisted;
       snapshot_lsn = persisted;
       step = MARKED;
       printf("full sync: marks position %d\n", snapshot_lsn) }
  :: atomic { step == MARKED && !locked ->
       printf("full sync: sets the state that stops the purge\n");
       Take(REPLICA, snapshot_lsn);
       BeginTransfer() }
#else
#ifdef UNLOCKED
  :: atomic { step == ASKED -> seen = engine_memory; step = MARKED }
  :: atomic { step == MARKED ->
       if
       :: seen >= log_begin -> Take(SNAPSHOT, seen); step = HELD
       :: else -> step = ASKED
       fi }
#else
  :: atomic { step == ASKED && !locked ->
       Take(SNAPSHOT, engine_memory);
       step = HELD;
       printf("full sync: holds the log from %d on\n", memory[SNAPSHOT].at) }
#endif
  :: atomic { step == HELD ->
       snapshot_data = persisted;
       snapshot_lsn = persisted;
       step = MADE;
       printf("full sync: makes a snapshot at %d\n", snapshot_data) }
  :: atomic { step == MADE ->
#ifdef MARK_APART
       snapshot_lsn = log_end;
#endif
       if
       :: Holds(memory[SNAPSHOT]) && memory[SNAPSHOT].at <= snapshot_lsn && log_begin <= snapshot_lsn ->
          memory[SNAPSHOT].at = snapshot_lsn;
          changed = true;
          step = CHECKED
       :: else ->
          assert(memory[SNAPSHOT].broken);
          told = true;
          step = OVER
       fi }
#ifdef RELEASE_EARLY
  :: atomic { step == CHECKED && !locked ->
       printf("full sync: releases the snapshot's lease\n");
       Release(SNAPSHOT);
       BeginTransfer() }
  :: atomic { step == SENDING && !memory[REPLICA].taken && !locked ->
       if
       :: log_begin <= snapshot_lsn -> Take(REPLICA, snapshot_lsn)
       :: else -> AskAgain()
       fi }
#else
  :: atomic { step == CHECKED && !locked ->
       if
       :: Holds(memory[SNAPSHOT]) -> Take(REPLICA, snapshot_lsn); BeginTransfer()
       :: else -> assert(memory[SNAPSHOT].broken); told = true; step = OVER
       fi }
  :: atomic { step == SENDING && memory[SNAPSHOT].taken && !locked -> Release(SNAPSHOT) }
#endif
#endif
  od
}

active proctype Replica() {
end:
  do
  :: atomic { alive && step == IDLE -> step = ASKED; printf("replica: asks for a full sync\n") }
  :: atomic { alive && step == SENDING && files < FILES -> files++ }
  :: atomic { alive && step == SENDING && files == FILES && !installed ->
       assert(snapshot_data == snapshot_lsn);
       installed = true }
  :: atomic { alive && step == SENDING && Holds(memory[REPLICA]) && received < log_end ->
       if
       :: log_begin <= received -> received++
       :: else -> AskAgain()
       fi }
  :: atomic { alive && synced < received -> synced = received }
#ifdef UNSYNCED_SHIPMENT
  :: atomic { alive && step == SENDING && Holds(memory[REPLICA]) && memory[REPLICA].at < received ->
       memory[REPLICA].at = received; changed = true }
#else
  :: atomic { alive && step == SENDING && Holds(memory[REPLICA]) && memory[REPLICA].at < synced ->
       memory[REPLICA].at = synced; changed = true }
#endif
#ifdef SILENT_BREAK
  :: atomic { alive && step == SENDING && !memory[REPLICA].taken && log_begin > received -> AskAgain() }
#endif
  :: atomic { alive && step == SENDING && memory[REPLICA].broken ->
       told = true;
       step = OVER }
  :: atomic { alive && step != OVER && deaths < DEATHS -> deaths++; alive = false; received = synced; printf("replica: dies\n") }
  :: atomic { !alive && !gone -> alive = true; printf("replica: is back at %d\n", received) }
  :: atomic { !alive && !gone -> gone = true }
  od
}

/* What was only in memory is lost, and the primary starts again from what is on disk: a transfer goes on where the
 * replica's lease says that there is one, a snapshot counts where its lease does, else all begins anew. */
active proctype Crash() {
end:
  do
  :: atomic { step != OVER && crashes < CRASHES ->
       printf("primary: crashes and starts again\n");
       crashes++;
       engine_memory = engine_disk;
       memory[SNAPSHOT].taken = disk[SNAPSHOT].taken;
       memory[SNAPSHOT].broken = disk[SNAPSHOT].broken;
       memory[SNAPSHOT].at = disk[SNAPSHOT].at;
       memory[REPLICA].taken = disk[REPLICA].taken;
       memory[REPLICA].broken = disk[REPLICA].broken;
       memory[REPLICA].at = disk[REPLICA].at;
       locked = false;
       purge_step = 0;
       limit = 0;
       changed = true;
       if
       :: step == IDLE || step == OVER
       :: step == SENDING && disk[REPLICA].taken
       :: step == SENDING && !disk[REPLICA].taken -> step = ASKED
       :: (step == MADE || step == CHECKED) && disk[SNAPSHOT].taken -> step = MADE
       :: else -> step = ASKED
       fi }
  od
}

#ifndef PIKA /* which has no lease that could be overtaken: what its users see is promise 4 */
active proctype Promise3() {
end:
  atomic { !(log_begin <= engine_memory && Covered(SNAPSHOT) && Covered(REPLICA)) -> assert(false) }
}
#endif

/* Nothing can move any more. */
active proctype Ending() {
end:
  atomic { timeout -> assert(told || gone || (installed && synced == log_end && memory[REPLICA].at == log_end)) }
}
