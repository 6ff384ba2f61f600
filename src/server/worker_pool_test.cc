#include "server/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace tidemark::server {
namespace {

TEST(WorkerPool, JobsRunAtTheSameTime) {
  WorkerPool pool(4);
  std::latch all_there(4);
  std::latch done(4);
  for (int i = 0; i < 4; ++i) {
    pool.Run([&] {
      all_there.arrive_and_wait();
      done.count_down();
    });
  }
  done.wait();
}

TEST(WorkerPool, EveryJobRunsOnce) {
  std::atomic<int> runs = 0;
  std::latch done(10000);
  WorkerPool pool(3);
  for (int i = 0; i < 10000; ++i) {
    pool.Run([&] {
      runs.fetch_add(1);
      done.count_down();
    });
  }
  done.wait();
  EXPECT_EQ(runs.load(), 10000);
}

TEST(WorkerPool, StopWaitsForWhatRuns) {
  std::latch started(1);
  std::latch go_on(1);
  std::atomic<bool> finished = false;
  WorkerPool pool(1);
  pool.Run([&] {
    started.count_down();
    go_on.wait();
    finished = true;
  });
  started.wait();
  std::thread stopper([&] { pool.Stop(); });
  go_on.count_down();
  stopper.join();
  EXPECT_TRUE(finished.load());
}

}  // namespace
}  // namespace tidemark::server
