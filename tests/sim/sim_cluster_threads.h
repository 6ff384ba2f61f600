// Real threads in a simulated order: a world in which one thread runs at a time, a seed decides which one goes on at
// every lock, wait and signal, and time passes only as far as the threads wait. Whatever the product's code does with
// threads, mutexes, condition variables and clocks, it does here unchanged, and one seed always is one schedule; hours
// of time-outs take no time at all, and a deadlock is seen at once, as nobody can go on.
//
// How: the program defines pthread_mutex_lock and its kin itself, which the dynamic linker prefers to those of the C
// library, for the product's code, the C++ library and RocksDB alike. A thread outside of a world gets the real ones.
// The idea is that of deterministic testing of threads by a controlled scheduler: Musuvathi et al., "Finding and
// Reproducing Heisenbugs in Concurrent Programs" (CHESS), OSDI 2008.
//
// Addresses decide the orders of hashed containers, so the program starts itself again without randomized ones, once.
//
// What it does not decide: loops that spin on an atomic without yielding (they would hang: none may be in what runs
// here), and whatever reads time or chance past the C library.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace tidemark::sim {

struct Outcome {
  // What `body` returned; or how its process ended otherwise (a crash, a deadlock, real time over).
  std::string wrong;
  // Depends on every decision of the schedule and the time of each: equal for equal runs.
  uint64_t trace = 0;
  uint64_t steps = 0;  // how often the thread that runs was chosen
  uint64_t virtual_micros = 0;
};

// A world that runs, in a child process.
struct Running {
  int child = -1;
  int pipe = -1;
  std::chrono::steady_clock::time_point deadline;
};
// Starts `body` in a world of its own, in a child process that begins as this one is. Call from a process without other
// threads. `real_time`: after which the child is killed.
Running StartWorld(uint64_t seed, std::chrono::seconds real_time, const std::function<std::string()>& body);
// Waits for its end.
Outcome Await(const Running& running);
inline Outcome RunWorld(uint64_t seed, std::chrono::seconds real_time, const std::function<std::string()>& body) {
  return Await(StartWorld(seed, real_time, body));
}

// For `body`: numbers of this world, from a sequence of their own.
uint64_t Chance(uint64_t bound);

}  // namespace tidemark::sim
