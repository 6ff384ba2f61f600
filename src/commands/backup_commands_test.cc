#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "commands/testing_server.h"

namespace tidemark::commands {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class BackupCommandsTest : public ::testing::Test {
 protected:
  std::string Run(const char* line) { return tested_.Run(line); }
  std::string Run(const std::vector<std::string>& words) { return tested_.Run(words); }
  // For what runs on a worker thread: does it, and returns the reply.
  std::string RunJob(const char* line) {
    const std::string first = Run(line);
    if (first != "(waits)") return first;
    auto jobs = std::exchange(tested_.host().jobs, {});
    for (const auto& job : jobs) job();
    return tested_.Answered();
  }
  void AddTask(const std::string& name) {
    backup::TaskStatus task;
    task.config.name = name;
    task.config.storage = "local:///archive";
    task.state = backup::TaskState::kNormal;
    task.restorable = true;
    tasks().all.push_back(task);
  }
  backup::FakeTasks& tasks() { return tested_.tasks(); }

  testing::TestServer tested_;
};

backup::FlushOutcome Yes(Lsn lsn) {
  backup::FlushOutcome outcome;
  outcome.success = true;
  outcome.target = outcome.flushed = lsn;
  outcome.flushed_time = Timestamp{5};
  outcome.objects = 1;
  outcome.bytes = 100;
  return outcome;
}

backup::FlushOutcome No(const absl::Status& error) {
  backup::FlushOutcome outcome;
  outcome.error = error;
  return outcome;
}

TEST_F(BackupCommandsTest, StartTakesEveryOption) {
  EXPECT_EQ(RunJob("logbackup start task t1 storage s3://b/p?access-key=k&secret-access-key=hush compression 3 "
                   "crypterkeyfile /k flushinterval 500 baseinterval 3600 keep 604800 holdbytes 1000 holdtime 60 "
                   "ratelimit 2000"),
            "OK");
  ASSERT_EQ(tasks().started.size(), 1U);
  const backup::TaskConfig& config = tasks().started[0];
  EXPECT_EQ(config.name, "t1");
  EXPECT_EQ(config.storage, "s3://b/p?access-key=k&secret-access-key=hush");
  EXPECT_EQ(config.compression_level, 3);
  EXPECT_EQ(config.key_file, "/k");
  EXPECT_EQ(config.flush_interval.count(), 500);
  EXPECT_EQ(config.base_interval.count(), 3600);
  EXPECT_EQ(config.keep.count(), 604800);
  EXPECT_EQ(config.hold_bytes, 1000U);
  EXPECT_EQ(config.hold_time.count(), 60);
  EXPECT_EQ(config.rate_limit, 2000U);
}

TEST_F(BackupCommandsTest, StartRefusesWhatItDoesNotUnderstandWithoutRepeatingIt) {
  const std::string secret = "s3://b/p?secret-access-key=hush";
  EXPECT_EQ(Run({"logbackup", "start", "task", "t", secret, "x"}), "(error) ERR syntax error");
  EXPECT_EQ(Run({"logbackup", "start", "task", "t", "storage", secret, "keep"}), "(error) ERR syntax error");
  EXPECT_EQ(Run({"logbackup", "start", "task", "t", "keep", secret}),
            "(error) ERR KEEP is a number of seconds from 0 to 3162240000");
  EXPECT_EQ(Run({"logbackup", "start", "storage", secret, "keep", "1"}), "(error) ERR START needs TASK and STORAGE");
  EXPECT_EQ(Run({"logbackup", "start", "task", "t", "storage", secret, "flushinterval", "1"}),
            "(error) ERR FLUSHINTERVAL is at least 10 milliseconds");
  EXPECT_TRUE(tasks().started.empty());
}

TEST_F(BackupCommandsTest, CredentialsOfStartAppearNowhere) {
  tested_.server().slowlog.SetThreshold(0);
  tasks().next = absl::PermissionDeniedError("s3://b/p?secret-access-key=hush: wrong key");
  EXPECT_EQ(RunJob("logbackup start task t storage s3://b/p?secret-access-key=hush"),
            "(error) ERR s3://b/p: wrong key");
  EXPECT_THAT(Run("slowlog get 10"), Not(HasSubstr("hush")));
  EXPECT_THAT(Run("client list"), Not(HasSubstr("hush")));
  EXPECT_THAT(Run("info everything"), Not(HasSubstr("hush")));
}

TEST_F(BackupCommandsTest, TasksAreControlledOnWorkers) {
  AddTask("t");
  EXPECT_EQ(RunJob("logbackup pause task t message why ttl 60"), "OK");
  EXPECT_EQ(RunJob("logbackup resume task t"), "OK");
  EXPECT_EQ(RunJob("logbackup base task t"), "OK");
  EXPECT_EQ(RunJob("logbackup stop task t"), "OK");
  EXPECT_THAT(tasks().calls, ElementsAre("pause t 'why' 60", "resume t", "base t", "stop t"));
  tasks().next = absl::NotFoundError("there is no backup task 't'");
  EXPECT_EQ(RunJob("logbackup stop task t"), "(error) ERR there is no backup task 't'");
  EXPECT_EQ(Run("logbackup pause message x"), "(error) ERR TASK is missing");
}

TEST_F(BackupCommandsTest, TruncateTellsWhatGoes) {
  tested_.client().protocol = 3;
  EXPECT_THAT(RunJob("logbackup truncate task t until 2026-03-01T12:00:00Z dryrun"),
              AllOf(HasSubstr("\"dry_run\": #t"), HasSubstr("\"bytes\": 7")));
  EXPECT_THAT(tasks().calls, ElementsAre("truncate t 1772366400000000 true"));
  EXPECT_EQ(Run("logbackup truncate task t until latest"), "(error) ERR UNTIL is a moment");
  EXPECT_EQ(Run("logbackup truncate task t dryrun x"), "(error) ERR syntax error");
}

TEST_F(BackupCommandsTest, ArchivesNeverTakeAllWorkers) {
  std::vector<std::unique_ptr<testing::FakeClient>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<testing::FakeClient>());
    tested_.Join(*clients.back());
    EXPECT_EQ(tested_.Run(*clients.back(), "logbackup base task t"),
              i < 4 ? "(waits)" : "(error) ERR 4 commands about backup tasks are under way; try again later");
  }
  for (const auto& job : tested_.host().jobs) job();
  EXPECT_EQ(RunJob("logbackup base task t"), "OK");
  for (const auto& client : clients) tested_.Leave(*client);
}

TEST_F(BackupCommandsTest, StatusShowsTheTasksAndOneOfThem) {
  EXPECT_EQ(Run("logbackup status"), "[]");
  AddTask("a");
  AddTask("b");
  tasks().all[1].checkpoint = Lsn{77};
  tasks().all[1].rpo_micros = 1500;
  tested_.client().protocol = 3;
  EXPECT_THAT(Run("logbackup status task b"),
              AllOf(StartsWith("[{\"name\": \"b\""), HasSubstr("\"checkpoint\": 77"), HasSubstr("\"rpo_micros\": 1500"),
                    HasSubstr("\"state\": \"normal\""), Not(HasSubstr("\"name\": \"a\""))));
  EXPECT_EQ(Run("logbackup status task c"), "(error) ERR there is no backup task 'c'");
  EXPECT_EQ(Run("logbackup status x y"), "(error) ERR syntax error");
}

TEST_F(BackupCommandsTest, FlushWaitsForTheOutcome) {
  AddTask("t");
  EXPECT_EQ(Run("logbackup flush"), "(waits)");
  EXPECT_EQ(tasks().flushes[1].request.mode, backup::FlushMode::kWait);
  EXPECT_EQ(tasks().flushes[1].request.timeout.count(), 60000);
  EXPECT_FALSE(tasks().flushes[1].request.target.has_value());
  tasks().Finish(1, Yes(Lsn{42}));
  EXPECT_EQ(
      tested_.Answered(),
      R"([["task", "t", "success", 1, "code", "ok", "error", "", "target", 42, "target_time", 0, "flushed", 42, )"
      R"("flushed_time", 5, "rpo_micros", 0, "objects", 1, "bytes", 100, "waited_micros", 0, "joined", 0, "awaits_base", 0]])");
}

TEST_F(BackupCommandsTest, FlushPassesOnWhatWasAskedFor) {
  AddTask("a");
  AddTask("b");
  EXPECT_EQ(Run("logbackup flush task b mode nowait timeout 250 durableonly"), "(waits)");
  const backup::FlushRequest& request = tasks().flushes[1].request;
  EXPECT_THAT(request.tasks, ElementsAre("b"));
  EXPECT_EQ(request.mode, backup::FlushMode::kNowait);
  EXPECT_EQ(request.timeout.count(), 250);
  EXPECT_TRUE(request.durable_only);
  tasks().Finish(1, No(absl::AbortedError("a flush runs")));
  EXPECT_THAT(tested_.Answered(), AllOf(HasSubstr(R"("success", 0)"), HasSubstr(R"("code", "aborted")"),
                                        HasSubstr(R"("error", "a flush runs")"), Not(HasSubstr(R"("task", "a")"))));
  EXPECT_EQ(Run("logbackup flush mode later"), "(error) ERR MODE is WAIT, JOIN or NOWAIT");
  EXPECT_EQ(Run("logbackup flush timeout -1"), "(error) ERR TIMEOUT is a number of milliseconds from 0 to 2147483647");
  EXPECT_EQ(Run("logbackup flush task"), "(error) ERR syntax error");
  EXPECT_EQ(Run("logbackup flush task c"), "(error) ERR there is no backup task 'c'");
}

TEST_F(BackupCommandsTest, FlushWithoutATaskIsAnError) {
  EXPECT_EQ(Run("logbackup flush"), "(error) ERR there is no backup task");
}

TEST_F(BackupCommandsTest, FlushUsesTheConfiguredModeAndDeadline) {
  AddTask("t");
  Run("config set backup-flush-mode join backup-flush-timeout 123");
  EXPECT_EQ(Run("logbackup flush"), "(waits)");
  EXPECT_EQ(tasks().flushes[1].request.mode, backup::FlushMode::kJoin);
  EXPECT_EQ(tasks().flushes[1].request.timeout.count(), 123);
}

TEST_F(BackupCommandsTest, WhoHangsUpLeavesNoWaiterBehind) {
  AddTask("t");
  EXPECT_EQ(Run("logbackup flush"), "(waits)");
  tested_.client().deferred->Abandon();
  EXPECT_THAT(tasks().cancelled, ElementsAre(1U));
}

TEST_F(BackupCommandsTest, UnblockingAFlushTellsHowFarItGot) {
  AddTask("t");
  tasks().all[0].checkpoint = Lsn{9};
  EXPECT_EQ(Run("logbackup flush"), "(waits)");
  ASSERT_TRUE(tested_.client().deferred->Unblock(/*with_error=*/false));
  EXPECT_THAT(tasks().cancelled, ElementsAre(1U));
  EXPECT_THAT(tested_.Answered(), AllOf(HasSubstr(R"("code", "deadline_exceeded")"), HasSubstr(R"("flushed", 9)")));
}

TEST_F(BackupCommandsTest, NothingThatBlocksRunsInATransaction) {
  AddTask("t");
  Run("multi");
  EXPECT_EQ(Run("logbackup flush"), "(error) ERR Command not allowed inside a transaction");
  Run("discard");
  Run("set k v");
  Run("multi");
  EXPECT_EQ(Run("logbackup wait 1 0"), "QUEUED");
  EXPECT_EQ(Run("exec"), "[0]");
}

TEST_F(BackupCommandsTest, WaitCountsTheTasksThatHaveThisClientsWrites) {
  AddTask("a");
  AddTask("b");
  EXPECT_EQ(Run("logbackup wait 2 0"), "2") << "a client that wrote nothing has nothing to wait for";
  Run("set k v");
  const Lsn end = tested_.server().engine.last_end();
  tasks().all[0].checkpoint = end;
  EXPECT_EQ(Run("logbackup wait 1 0"), "1");
  EXPECT_EQ(Run("logbackup wait 2 500"), "(waits)");
  ASSERT_EQ(tasks().flushes.size(), 2U);
  EXPECT_EQ(tasks().flushes[1].request.target, end);
  EXPECT_EQ(tasks().flushes[2].request.timeout.count(), 500);
  tasks().Finish(1, Yes(end));
  tasks().Finish(2, No(absl::DeadlineExceededError("too slow")));
  EXPECT_EQ(tested_.Answered(), "1");
  testing::FakeClient other;
  tested_.Join(other);
  EXPECT_EQ(tested_.Run(other, "logbackup wait 2 0"), "2") << "another client's writes are not waited for";
  tested_.Leave(other);
}

TEST_F(BackupCommandsTest, WaitCountsNoFencedTask) {
  AddTask("t");
  Run("set k v");
  tasks().all[0].checkpoint = tested_.server().engine.last_end();
  EXPECT_EQ(Run("logbackup wait 1 0"), "1");
  tasks().all[0].state = backup::TaskState::kFenced;
  EXPECT_EQ(Run("logbackup wait 1 0"), "(waits)") << "another server's archive by now";
  tasks().Finish(1, No(absl::FailedPreconditionError("fenced")));
  EXPECT_EQ(tested_.Answered(), "0");
}

TEST_F(BackupCommandsTest, WaitAnswersOnceEnoughTasksHaveTheWrites) {
  AddTask("a");
  AddTask("b");
  Run("set k v");
  EXPECT_EQ(Run("logbackup wait 1 0"), "(waits)");
  tasks().Finish(2, Yes(tested_.server().engine.last_end()));
  EXPECT_EQ(tested_.Answered(), "1");
  tasks().Finish(1, Yes(tested_.server().engine.last_end()));
}

TEST_F(BackupCommandsTest, WaitWithoutATaskOrInTheEndWithoutEnough) {
  EXPECT_EQ(Run("logbackup wait 0 0"), "0");
  EXPECT_THAT(Run("logbackup wait 1 0"), StartsWith("(error) ERR there is no backup task"));
  AddTask("t");
  tasks().all[0].restorable = false;
  EXPECT_EQ(Run("logbackup wait 1 0"), "(waits)") << "durable is not yet restorable";
  tasks().Finish(1, No(absl::FailedPreconditionError("the first base is not there yet")));
  EXPECT_EQ(tested_.Answered(), "0");
  EXPECT_EQ(Run("logbackup wait -1 0"), "(error) ERR numtasks is a number of tasks from 0 to 2147483647");
}

TEST_F(BackupCommandsTest, InfoTellsTheGreatestRpo) {
  EXPECT_THAT(Run("info backup"), AllOf(HasSubstr("backup_tasks:0"), HasSubstr("backup_rpo_ms:-1")));
  AddTask("a");
  AddTask("b");
  tasks().all[0].rpo_micros = 1;
  tasks().all[1].rpo_micros = 2'000'000;
  EXPECT_THAT(Run("info backup"), AllOf(HasSubstr("backup_rpo_ms:2000"),
                                        HasSubstr("task0:name=a,state=normal,rpo_ms=1"), HasSubstr("task1:name=b")));
}

}  // namespace
}  // namespace tidemark::commands
