// Promises 2, 3 and 4, and that what replicas have confirmed survives, over random schedules of a cluster in virtual
// time: one seed is one run, to the last lock.
//
// TM_SIM_CLUSTER_SEEDS, else TM_SIM_SEEDS: how many (2000); TM_SIM_FIRST_SEED: from which on (1); TM_SIM_SEED: this one
// only, with what the nodes said.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <thread>

#include "sim_cluster_threads.h"
#include "sim_cluster_world.h"

namespace tidemark::replication {
namespace {

constexpr std::chrono::seconds kRealTime{120};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
bool OneSeed() { return std::getenv("TM_SIM_SEED") != nullptr; }
uint64_t FirstSeed() { return FromEnvironment("TM_SIM_SEED", FromEnvironment("TM_SIM_FIRST_SEED", 1)); }
uint64_t Seeds() {
  return OneSeed() ? 1 : FromEnvironment("TM_SIM_CLUSTER_SEEDS", FromEnvironment("TM_SIM_SEEDS", 2000));
}

sim::Running StartSeed(uint64_t seed, Sabotage sabotage) {
  return sim::StartWorld(seed, kRealTime, [=] {
    ClusterSchedule schedule(seed, sabotage);
    std::string wrong = schedule.Run();
    if (OneSeed() || (!wrong.empty() && sabotage == Sabotage::kNone)) std::fputs(schedule.Sayings().c_str(), stdout);
    return wrong;
  });
}
sim::Outcome RunSeed(uint64_t seed) { return sim::Await(StartSeed(seed, Sabotage::kNone)); }

// Runs seeds, as many at once as there are processors; `take` gets the outcomes in order and returns false to stop.
void RunSeeds(uint64_t first, uint64_t count, Sabotage sabotage,
              const std::function<bool(uint64_t seed, const sim::Outcome& outcome)>& take) {
  const size_t at_once = std::max(1U, std::thread::hardware_concurrency());
  std::deque<sim::Running> running;
  uint64_t started = first;
  bool going = true;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    for (; going && started < first + count && running.size() < at_once; ++started) {
      running.push_back(StartSeed(started, sabotage));
    }
    if (running.empty()) return;
    const sim::Outcome outcome = sim::Await(running.front());
    running.pop_front();
    if (going) going = take(seed, outcome);
  }
}

TEST(ClusterSimulation, WhoeverDiesAndWhateverIsCut) {
  uint64_t steps = 0;
  uint64_t micros = 0;
  RunSeeds(FirstSeed(), Seeds(), Sabotage::kNone, [&](uint64_t seed, const sim::Outcome& outcome) {
    EXPECT_EQ(outcome.wrong, "") << "\nto see it again: ./dev sim --suite cluster --seed " << seed;
    steps += outcome.steps;
    micros += outcome.virtual_micros;
    return outcome.wrong.empty();
  });
  std::printf("%llu schedules, %llu switches, %.1f s of virtual time\n", static_cast<unsigned long long>(Seeds()),
              static_cast<unsigned long long>(steps), static_cast<double>(micros) / 1e6);
}

TEST(ClusterSimulation, TheSameSeedIsTheSameRun) {
  const uint64_t stride = std::max<uint64_t>(1, Seeds() / 20);
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + Seeds(); seed += stride) {
    const sim::Outcome first = RunSeed(seed);
    const sim::Outcome second = RunSeed(seed);
    EXPECT_EQ(first.trace, second.trace) << "seed " << seed;
    EXPECT_EQ(first.steps, second.steps) << "seed " << seed;
  }
}

// The test of the test: each thing that can be done wrong is found.
class SabotagedCluster : public testing::TestWithParam<Sabotage> {};

TEST_P(SabotagedCluster, IsFound) {
  uint64_t found = 0;
  RunSeeds(1, 2000, GetParam(), [&](uint64_t seed, const sim::Outcome& outcome) {
    if (outcome.wrong.empty()) return true;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), outcome.wrong.c_str());
    found = seed;
    return false;
  });
  EXPECT_NE(found, 0) << "not found in 2000 schedules";
}

INSTANTIATE_TEST_SUITE_P(ClusterSimulation, SabotagedCluster,
                         testing::Values(Sabotage::kNoLease, Sabotage::kMarkBeforeHold, Sabotage::kPromoteWhoLacks));

// The world itself: who waits for ever is found at once, and time passes by itself.
TEST(VirtualThreads, ADeadlockIsFoundAndTimeCostsNothing) {
  const sim::Outcome slept = sim::RunWorld(1, kRealTime, [] {
    std::thread other([] { std::this_thread::sleep_for(std::chrono::hours(24)); });
    other.join();
    return std::string();
  });
  EXPECT_EQ(slept.wrong, "");
  EXPECT_GE(slept.virtual_micros, 24ull * 3600 * 1'000'000);
  const sim::Outcome stuck = sim::RunWorld(1, kRealTime, [] {
    Mutex mutex;
    const MutexLock lock(mutex);
    std::thread other([&mutex] { const MutexLock never(mutex); });
    other.join();
    return std::string();
  });
  EXPECT_NE(stuck.wrong, "");
}

}  // namespace
}  // namespace tidemark::replication
