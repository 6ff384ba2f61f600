// Inside the server commands: the tables that ServerCommands() joins, each in a file of its own, and what they share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commands/command.h"

namespace tidemark::commands {

std::span<const CommandSpec> ConfigFamily();       // config_commands.cc
std::span<const CommandSpec> InfoFamily();         // info_commands.cc
std::span<const CommandSpec> SlowlogFamily();      // slowlog_commands.cc
std::span<const CommandSpec> LatencyFamily();      // latency_commands.cc
std::span<const CommandSpec> MemoryFamily();       // memory_commands.cc
std::span<const CommandSpec> ExpiryClockFamily();  // expiry_clock_commands.cc: EXPIRY, after a restore
std::span<const CommandSpec> DebugFamily();        // debug_commands.cc
std::span<const CommandSpec> MonitorFamily();      // monitor_commands.cc
std::span<const CommandSpec> ExportFamily();       // export_commands.cc: the way back to Redis
std::span<const CommandSpec> PersistenceFamily();  // persistence_commands.cc: snapshots, SHUTDOWN
std::span<const CommandSpec> ReplicationFamily();  // replication_commands.cc
std::span<const CommandSpec> ReplicationWaits();   // replication_waits.cc: WAIT, WAITAOF

// The sections of INFO in Redis's order, then ours; each writes its fields without the heading. info_sections.cc.
struct InfoSection {
  std::string_view name;     // as asked for
  std::string_view heading;  // as shown
  bool by_default;
  void (*write)(Server& server, std::string* out);
};
std::span<const InfoSection> InfoSections();
void WriteStatsSection(Server& server, std::string* out);  // info_stats.cc, as the next three
void WriteCommandstatsSection(Server& server, std::string* out);
void WriteErrorstatsSection(Server& server, std::string* out);
void WriteLatencystatsSection(Server& server, std::string* out);
void WriteLogSection(Server& server, std::string* out);  // info_storage.cc, as the next
void WriteStoreSection(Server& server, std::string* out);
void WriteBackupSection(Server& server, std::string* out);       // info_backup.cc
void WriteReplicationSection(Server& server, std::string* out);  // info_replication.cc

// What the process and its allocator use, in bytes.
struct MemoryFigures {
  uint64_t allocated = 0;
  uint64_t peak = 0;  // highest `allocated` that was seen when somebody asked
  uint64_t active = 0;
  uint64_t allocator_resident = 0;
  uint64_t resident = 0;
  uint64_t system = 0;
  std::string allocator;
};
MemoryFigures ReadMemoryFigures();  // memory_figures.cc
// Gives free memory back to the system.
void PurgeMemory();
// The allocator's own report.
std::string AllocatorReport();

// Categories of ACL CAT and COMMAND INFO, without '@', in Redis's order; derived from flags and group.
// acl_categories.cc.
std::span<const std::string_view> AclCategoryNames();
std::vector<std::string_view> AclCategories(const CommandTable::Row& row);

}  // namespace tidemark::commands
