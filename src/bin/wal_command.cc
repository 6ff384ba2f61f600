#include "bin/wal_command.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "log/inspect.h"

namespace tidemark::bin {
namespace {

constexpr int kUsage = 1;
constexpr int kDamage = 2;

struct InspectArguments {
  std::string path;
  uint64_t from = 0;
  uint64_t limit = std::numeric_limits<uint64_t>::max();
  bool json = false;
};

int Fail(const absl::Status& status) {
  fmt::print(stderr, "tidemark: {}\n", Message(status));
  return absl::IsDataLoss(status) ? kDamage : kUsage;
}

std::string JsonText(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += fmt::format("\\{}", c);
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

void PrintRecord(const log::InspectedRecord& record, bool json) {
  const format::RecordHeader& header = record.header;
  const std::string entries = log::DescribePayload(record.payload);
  if (json) {
    fmt::print(
        "{{\"lsn\":{},\"timeline\":{},\"timestamp\":{},\"length\":{},\"previous_crc_ok\":{},\"durable\":{},\"file\":{},"
        "\"offset\":{},\"entries\":{}}}\n",
        header.lsn.value, header.timeline.value, header.timestamp.micros, header.length, record.follows,
        header.durable.value, JsonText(record.path), record.file_offset, JsonText(entries));
    return;
  }
  fmt::print("LSN {} timeline {} timestamp {} length {} durable {} previous crc {} offset {}\n{}", header.lsn.value,
             header.timeline.value, header.timestamp.micros, header.length, header.durable.value,
             record.follows ? "ok" : "WRONG", record.file_offset, entries);
}

int Inspect(const InspectArguments& arguments) {
  const auto summary = log::Inspect(FileSystem::Posix(), arguments.path, {Lsn{arguments.from}, arguments.limit},
                                    [&](const log::InspectedRecord& record) { PrintRecord(record, arguments.json); });
  if (!summary.ok()) return Fail(summary.status());
  if (!summary->verdict.ok()) return Fail(summary->verdict);
  if (!summary->torn.empty()) {
    fmt::print(stderr, "a torn tail follows LSN {} ({}): the server saves it aside and cuts it when it starts\n",
               summary->end.value, summary->torn);
  }
  fmt::print(stderr, "{} records, up to LSN {}\n", summary->records, summary->end.value);
  return 0;
}

int Cut(const std::string& folder, uint64_t at, bool yes) {
  if (!yes) {
    if (isatty(STDIN_FILENO) == 0) return Fail(InvalidArgument("cutting needs -y when nobody can be asked"));
    fmt::print("Remove every record from LSN {} on from the log in {}? What is removed is saved beside it. [y/N] ", at,
               folder);
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "Y") return kUsage;
  }
  const auto cut = log::Cut(FileSystem::Posix(), Clock::System(), folder, Lsn{at});
  if (!cut.ok()) return Fail(cut.status());
  fmt::print("the log ends at LSN {} now; {} bytes removed{}\n", at, cut->bytes,
             cut->saved_to.empty() ? "" : ", saved from " + cut->saved_to + " on");
  return 0;
}

}  // namespace

void AddInspect(CLI::App& parent, int* exit_code) {
  auto inspect_arguments = std::make_shared<InspectArguments>();
  CLI::App* inspect = parent.add_subcommand("inspect", "Print the records of a log: a segment, a saved tail, a folder");
  inspect->add_option("path", inspect_arguments->path, "Segment file, torn-….bak, or log folder")->required();
  inspect->add_option("--from", inspect_arguments->from, "First LSN to print");
  inspect->add_option("--limit", inspect_arguments->limit, "Number of records to print");
  inspect->add_flag("--json", inspect_arguments->json, "One JSON object a line");
  inspect->callback([=] { *exit_code = Inspect(*inspect_arguments); });
}

void AddWalCommand(CLI::App& app, int* exit_code) {
  CLI::App* wal = app.add_subcommand("wal", "Look into the log of a server, or cut it after damage");
  wal->require_subcommand(1);

  AddInspect(*wal, exit_code);

  struct CutArguments {
    std::string folder;
    uint64_t at = 0;
    bool yes = false;
  };
  auto cut_arguments = std::make_shared<CutArguments>();
  CLI::App* cut = wal->add_subcommand("cut", "Remove every record from an LSN on, saving what is removed");
  cut->add_option("folder", cut_arguments->folder, "Log folder; no server may be using it")->required();
  cut->add_option("--at", cut_arguments->at, "LSN where the log is to end")->required();
  cut->add_flag("-y,--yes", cut_arguments->yes, "Do not ask");
  cut->callback([=] { *exit_code = Cut(cut_arguments->folder, cut_arguments->at, cut_arguments->yes); });
}

}  // namespace tidemark::bin
