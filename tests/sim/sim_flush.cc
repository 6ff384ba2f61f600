// Force flush against nodes that die, disks that forget and stores that lie about their answers: random schedules, each
// from one seed. At each yes the archive is copied and read as a restore would read it: every record that the log had
// when the caller came is there, identical.
//
// TM_SIM_FLUSH_SEEDS, else TM_SIM_SEEDS: how many (20000); TM_SIM_FIRST_SEED: from which on (1); TM_SIM_SEED: this one
// only.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim_flush_world.h"

namespace tidemark::backup {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

uint64_t FirstSeed() { return FromEnvironment("TM_SIM_SEED", FromEnvironment("TM_SIM_FIRST_SEED", 1)); }
uint64_t Seeds() {
  if (std::getenv("TM_SIM_SEED") != nullptr) return 1;
  return FromEnvironment("TM_SIM_FLUSH_SEEDS", FromEnvironment("TM_SIM_SEEDS", 20000));
}

TEST(FlushSimulation, AYesMeansThatARestoreHasIt) {
  FlushSchedule::Totals sum;
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + Seeds(); ++seed) {
    FlushSchedule run(seed, Sabotage::kNone);
    run.Go();
    ASSERT_EQ(run.fault, "") << "\nto see it again: ./dev sim --suite flush --seed " << seed;
    sum.yes += run.totals.yes;
    sum.no += run.totals.no;
    sum.archives_read += run.totals.archives_read;
    sum.restarts += run.totals.restarts;
    sum.failed_attempts += run.totals.failed_attempts;
    sum.fenced += run.totals.fenced;
    sum.joined += run.totals.joined;
    sum.looks += run.totals.looks;
  }
  std::printf(
      "%llu yes, %llu no (%llu fenced), %llu archives read, %llu restarts, %llu failed attempts, %llu joined, "
      "%llu looks\n",
      static_cast<unsigned long long>(sum.yes), static_cast<unsigned long long>(sum.no),
      static_cast<unsigned long long>(sum.fenced), static_cast<unsigned long long>(sum.archives_read),
      static_cast<unsigned long long>(sum.restarts), static_cast<unsigned long long>(sum.failed_attempts),
      static_cast<unsigned long long>(sum.joined), static_cast<unsigned long long>(sum.looks));
  // A simulation in which little happens proves little.
  if (Seeds() >= 500) {
    EXPECT_GT(sum.yes, 2 * Seeds());
    EXPECT_GT(sum.archives_read, Seeds());
    EXPECT_GT(sum.joined, Seeds());
    EXPECT_GT(sum.looks, Seeds() / 10);
    EXPECT_GT(sum.failed_attempts, Seeds());
    EXPECT_GT(sum.restarts, Seeds());
    EXPECT_GT(sum.fenced, Seeds() / 50);
  }
}

TEST(FlushSimulation, TheSameSeedIsTheSameRun) {
  const uint64_t stride = std::max<uint64_t>(1, Seeds() / 50);
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + Seeds(); seed += stride) {
    FlushSchedule first(seed, Sabotage::kNone);
    first.Go();
    FlushSchedule second(seed, Sabotage::kNone);
    second.Go();
    ASSERT_EQ(first.trace, second.trace) << "seed " << seed;
  }
}

// The test of the test: each thing that a driver can do wrong is found.
class SabotagedFlush : public testing::TestWithParam<Sabotage> {};

TEST_P(SabotagedFlush, IsFound) {
  uint64_t seed = 1;
  std::string fault;
  for (; seed <= 2000 && fault.empty(); ++seed) {
    FlushSchedule run(seed, GetParam());
    run.Go();
    fault = run.fault;
  }
  ASSERT_NE(fault, "");
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed - 1), fault.c_str());
}

INSTANTIATE_TEST_SUITE_P(FlushSimulation, SabotagedFlush,
                         testing::Values(Sabotage::kCutAfterFreeze, Sabotage::kRunningFlushCounts,
                                         Sabotage::kSwallowsUploadErrors, Sabotage::kAdvancesWithoutUpload,
                                         Sabotage::kConfirmsOutOfOrder, Sabotage::kNoFenceCheck,
                                         Sabotage::kYesWithoutALook, Sabotage::kAlwaysRestorable,
                                         Sabotage::kShipsWhatIsNotDurable));

}  // namespace
}  // namespace tidemark::backup
