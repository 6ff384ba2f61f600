#include "bin/archive_command.h"

#include <memory>

#include "bin/archive_inspect.h"
#include "bin/archive_ls.h"
#include "bin/archive_verify.h"
#include "bin/output.h"
#include "objstore/object_store.h"

namespace tidemark::bin {
namespace {

constexpr const char* kExitCodes = "Exit codes: 0 ok, 1 wrong use or not reachable, 2 damage or a gap";

using Run = absl::StatusOr<int> (*)(objstore::ObjectStore& store, const archive::KeyRing& keys,
                                    const ArchiveCommandArguments& arguments);

int RunOn(const ArchiveCommandArguments& arguments, Run run) {
  const auto fail = [](const absl::Status& status) {
    PrintFailure(status);
    return absl::IsDataLoss(status) ? kArchiveDamaged : kArchiveUnreachable;
  };
  const auto store = objstore::Open(arguments.uri, {.must_exist = true});
  if (!store.ok()) return fail(store.status());
  std::shared_ptr<const archive::KeyRing> keys = archive::KeyRing::Empty();
  if (!arguments.crypter_key_file.empty()) {
    const auto loaded = archive::KeyRing::Load(FileSystem::Posix(), arguments.crypter_key_file);
    if (!loaded.ok()) return fail(loaded.status());
    keys = *loaded;
  }
  const absl::StatusOr<int> exit_code = run(**store, *keys, arguments);
  return exit_code.ok() ? *exit_code : fail(exit_code.status());
}

CLI::App* AddSubcommand(CLI::App* archive, const char* name, const char* what, Run run,
                        const std::shared_ptr<ArchiveCommandArguments>& arguments, int* exit_code) {
  CLI::App* command = archive->add_subcommand(name, what);
  command->footer(kExitCodes);
  command->add_option("uri", arguments->uri, "local:///folder or s3://bucket/prefix?…, as for log start")->required();
  command->add_flag("--json", arguments->json, "JSON on standard output, nothing else");
  command->callback([=] { *exit_code = RunOn(*arguments, run); });
  return command;
}

}  // namespace

void AddArchiveCommand(CLI::App& app, int* exit_code) {
  CLI::App* archive = app.add_subcommand("archive", "Look into an archive, and prove that it is whole");
  archive->require_subcommand(1);
  const auto arguments = std::make_shared<ArchiveCommandArguments>();
  AddSubcommand(archive, "ls", "What can be restored: windows, bases, log, sizes, lag", &ListArchive, arguments,
                exit_code);

  CLI::App* verify = AddSubcommand(archive, "verify", "Read everything and name what is missing, damaged or foreign",
                                   &VerifyArchive, arguments, exit_code);
  verify->add_flag("--quick", arguments->quick, "Heads only: finds what is missing, but not every damage");
  verify->add_option("--jobs", arguments->jobs, "Objects read at the same time")->check(CLI::Range(1, 64));

  CLI::App* inspect = AddSubcommand(archive, "inspect", "Print the head of one object, and its records", &InspectObject,
                                    arguments, exit_code);
  inspect->add_option("key", arguments->key, "Name of the object, as ls and verify print it")->required();
  inspect->add_option("--from", arguments->from, "First LSN to print");
  inspect->add_option("--limit", arguments->limit, "Number of records to print");
  for (CLI::App* command : {verify, inspect}) {
    command->add_option("--crypter-key-file", arguments->crypter_key_file, "Keys of an encrypted archive");
  }
}

}  // namespace tidemark::bin
