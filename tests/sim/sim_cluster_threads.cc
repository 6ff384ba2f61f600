#include "sim_cluster_threads.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <utility>

namespace tidemark::sim {
namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kWallOffset = 1'700'000'000'000'000'000;  // of the wall clock, ns since 1970
constexpr uint64_t kStart = 1'000'000'000'000;               // of the monotonic clock, ns
constexpr uint64_t kCallNanos = 100;                         // what a look at the clock or a lock takes
constexpr uint64_t kPreemptOneIn = 12;

struct Thread {
  enum class State : uint8_t { kFree, kRunnable, kBlocked, kDone };
  State state = State::kFree;
  bool timed_out = false;
  bool detached = false;
  int exit_rounds = 0;
  std::atomic<uint32_t> token{0};
  const void* waits_on = nullptr;
  uint64_t deadline = kNever;
  pthread_t real{};
  void* (*start)(void*) = nullptr;
  void* argument = nullptr;
  void* result = nullptr;
  pid_t kernel_id = 0;
  Thread* wait_first = nullptr;  // who ended to let this one run
};

// Nothing here allocates: allocators take locks.
struct World {
  std::array<Thread, 512> threads;
  size_t used = 0;
  uint64_t now = kStart;
  uint64_t random = 0;
  uint64_t chance = 0;
  uint64_t trace = 0;
  uint64_t steps = 0;
};
World world;
pthread_key_t exit_key;
thread_local Thread* self = nullptr;

uint64_t Next(uint64_t* state) {  // SplitMix64
  uint64_t z = (*state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// The function that the program would have without ours. Versions matter: the first pthread_cond_wait still exists.
template <typename Function>
Function* Real(const char* name, const char* version = nullptr) {
  void* found = version != nullptr ? dlvsym(RTLD_NEXT, name, version) : nullptr;
  if (found == nullptr) found = dlsym(RTLD_NEXT, name);
  return reinterpret_cast<Function*>(found);
}
#define TM_REAL(name) static auto* const real = Real<decltype(::name)>(#name)
#define TM_REAL_VERSION(name, version) static auto* const real = Real<decltype(::name)>(#name, version)

class KeepErrno {
 public:
  ~KeepErrno() { errno = kept_; }

 private:
  const int kept_ = errno;
};

void GiveToken(Thread* thread) {
  thread->token.store(1, std::memory_order_release);
  syscall(SYS_futex, &thread->token, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}
void AwaitToken(Thread* thread) {
  while (thread->token.exchange(0, std::memory_order_acquire) == 0) {
    syscall(SYS_futex, &thread->token, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
  // Whoever ended to let this one run frees memory until it is gone. It is not joined yet: its handle would be given to
  // another while somebody still means to join it by that.
  if (const Thread* ended = std::exchange(thread->wait_first, nullptr)) {
    while (syscall(SYS_tgkill, getpid(), ended->kernel_id, 0) == 0) syscall(SYS_sched_yield);
  }
}

[[noreturn]] void Deadlock() {
  std::fprintf(stderr, "deadlock after %llu steps: every thread waits for ever\n",
               static_cast<unsigned long long>(world.steps));
  abort();
}

void WakeDue() {
  for (size_t i = 0; i < world.used; ++i) {
    Thread& thread = world.threads[i];
    if (thread.state != Thread::State::kBlocked || thread.deadline > world.now) continue;
    thread.state = Thread::State::kRunnable;
    thread.timed_out = true;
  }
}

// Who goes on; time passes where nobody can.
Thread* Pick() {
  WakeDue();
  for (;;) {
    size_t runnable = 0;
    uint64_t earliest = kNever;
    for (size_t i = 0; i < world.used; ++i) {
      const Thread& thread = world.threads[i];
      if (thread.state == Thread::State::kRunnable) ++runnable;
      if (thread.state == Thread::State::kBlocked) earliest = std::min(earliest, thread.deadline);
    }
    if (runnable == 0) {
      if (earliest == kNever) Deadlock();
      world.now = std::max(world.now, earliest);
      WakeDue();
      continue;
    }
    size_t choice = Next(&world.random) % runnable;
    for (size_t i = 0; i < world.used; ++i) {
      if (world.threads[i].state != Thread::State::kRunnable || choice-- != 0) continue;
      ++world.steps;
      world.trace = (world.trace ^ (i + 1) ^ (world.now << 9)) * 0x9E3779B97F4A7C15;
      world.trace ^= world.trace >> 29;
      return &world.threads[i];
    }
  }
}

void Switch() {
  Thread* const me = self;
  Thread* const next = Pick();
  if (next == me) return;
  GiveToken(next);
  AwaitToken(me);
}

void Preempt() {
  world.now += kCallNanos;
  if (Next(&world.random) % kPreemptOneIn == 0) Switch();
}

// True when the deadline ended it.
bool Block(const void* on, uint64_t deadline) {
  self->state = Thread::State::kBlocked;
  self->waits_on = on;
  self->deadline = deadline;
  self->timed_out = false;
  Switch();
  self->waits_on = nullptr;
  self->deadline = kNever;
  return self->timed_out;
}

void WakeAll(const void* on) {
  for (size_t i = 0; i < world.used; ++i) {
    Thread& thread = world.threads[i];
    if (thread.state == Thread::State::kBlocked && thread.waits_on == on) thread.state = Thread::State::kRunnable;
  }
}

void WakeOne(const void* on) {
  size_t waiting = 0;
  const auto waits = [on](const Thread& thread) {
    return thread.state == Thread::State::kBlocked && thread.waits_on == on;
  };
  for (size_t i = 0; i < world.used; ++i) waiting += waits(world.threads[i]) ? 1 : 0;
  if (waiting == 0) return;
  size_t choice = Next(&world.random) % waiting;
  for (size_t i = 0; i < world.used; ++i) {
    if (!waits(world.threads[i]) || choice-- != 0) continue;
    world.threads[i].state = Thread::State::kRunnable;
    return;
  }
}

uint64_t Nanos(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}
// Of an absolute time of either clock: the wall clock's are far beyond the other's.
uint64_t Deadline(const timespec& time) {
  const uint64_t nanos = Nanos(time);
  return nanos >= kWallOffset ? nanos - kWallOffset : nanos;
}

void Lock(pthread_mutex_t* mutex) {
  TM_REAL(pthread_mutex_trylock);
  while (real(mutex) == EBUSY) Block(mutex, kNever);
}
int Unlock(pthread_mutex_t* mutex) {
  TM_REAL(pthread_mutex_unlock);
  const int code = real(mutex);
  WakeAll(mutex);
  return code;
}
int Wait(pthread_cond_t* condition, pthread_mutex_t* mutex, uint64_t deadline) {
  const KeepErrno keep;
  Unlock(mutex);
  const bool timed_out = Block(condition, deadline);
  Lock(mutex);
  return timed_out ? ETIMEDOUT : 0;
}

// After the destructors of everything that the thread has, in the last round of them; until then it holds the token.
void EndThread(void* value) {
  auto* const me = static_cast<Thread*>(value);
  if (++me->exit_rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(exit_key, value);
    return;
  }
  me->state = Thread::State::kDone;
  WakeAll(me);
  Thread* const next = Pick();
  self = nullptr;
  next->wait_first = me;
  GiveToken(next);
}

void* RunThread(void* value) {
  self = static_cast<Thread*>(value);
  self->kernel_id = static_cast<pid_t>(syscall(SYS_gettid));
  AwaitToken(self);
  pthread_setspecific(exit_key, self);
  self->result = self->start(self->argument);
  return self->result;
}

Thread* NewThread() {
  for (size_t i = 0; i < world.used; ++i) {
    Thread& thread = world.threads[i];
    if (thread.state != Thread::State::kFree) continue;
    thread.detached = false;
    thread.exit_rounds = 0;
    return &thread;
  }
  if (world.used == world.threads.size()) abort();
  return &world.threads[world.used++];
}

int Create(pthread_t* handle, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  TM_REAL(pthread_create);
  Thread* const thread = NewThread();
  thread->start = start;
  thread->argument = argument;
  const int code = real(&thread->real, attributes, RunThread, thread);
  if (code != 0) return code;
  thread->state = Thread::State::kRunnable;
  *handle = thread->real;
  return 0;
}

void Reap(Thread* thread) {
  TM_REAL(pthread_join);
  real(thread->real, nullptr);
  thread->state = Thread::State::kFree;
}

Thread* Find(pthread_t handle) {
  for (size_t i = 0; i < world.used; ++i) {
    Thread& thread = world.threads[i];
    if (thread.state != Thread::State::kFree && pthread_equal(thread.real, handle) != 0) return &thread;
  }
  return nullptr;
}

timespec ToTimespec(uint64_t nanos) {
  return {.tv_sec = static_cast<time_t>(nanos / 1'000'000'000), .tv_nsec = static_cast<long>(nanos % 1'000'000'000)};
}

// The child's side of RunWorld.
struct Root {
  const std::function<std::string()>* body;
  int pipe;
};

[[noreturn]] void* RunRoot(void* argument) {
  const auto* const root = static_cast<const Root*>(argument);
  const std::string wrong = (*root->body)();
  // A record of fixed size and then the text.
  const uint64_t numbers[] = {world.trace, world.steps, (world.now - kStart) / 1000};
  std::string record(reinterpret_cast<const char*>(numbers), sizeof(numbers));
  record += wrong;
  for (size_t sent = 0; sent < record.size();) {
    const ssize_t wrote = write(root->pipe, record.data() + sent, record.size() - sent);
    if (wrote <= 0) break;
    sent += static_cast<size_t>(wrote);
  }
  std::fflush(nullptr);
  _exit(0);
}

[[noreturn]] void RunChild(uint64_t seed, const std::function<std::string()>& body, int pipe) {
  // One processor: a switch from thread to thread need not wake another one.
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(seed % static_cast<uint64_t>(sysconf(_SC_NPROCESSORS_ONLN)), &one);
  sched_setaffinity(0, sizeof(one), &one);
  world.random = seed * 2 + 1;
  world.chance = ~seed;
  pthread_key_create(&exit_key, EndThread);
  Root root{&body, pipe};
  pthread_t handle{};
  Create(&handle, nullptr, RunRoot, &root);
  GiveToken(&world.threads[0]);
  for (;;) pause();
}

// Everything until the pipe's other end is closed; false when the time is over.
bool ReadAll(const Running& running, std::string* all) {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(running.deadline - std::chrono::steady_clock::now());
    pollfd wait{.fd = running.pipe, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) == 0) return false;
    char bytes[4096];
    const ssize_t got = read(running.pipe, bytes, sizeof(bytes));
    if (got <= 0) return true;
    all->append(bytes, static_cast<size_t>(got));
  }
}

}  // namespace

Running StartWorld(uint64_t seed, std::chrono::seconds real_time, const std::function<std::string()>& body) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    RunChild(seed, body, ends[1]);
  }
  close(ends[1]);
  return {.child = child, .pipe = ends[0], .deadline = std::chrono::steady_clock::now() + real_time};
}

Outcome Await(const Running& running) {
  if (running.child < 0) return {.wrong = "no process"};
  std::string all;
  const bool in_time = ReadAll(running, &all);
  if (!in_time) kill(running.child, SIGABRT);
  close(running.pipe);
  int status = 0;
  waitpid(running.child, &status, 0);
  uint64_t numbers[3];
  if (!in_time) return {.wrong = "did not end in the real time that it has"};
  if (WIFSIGNALED(status)) return {.wrong = std::string("ended by signal ") + strsignal(WTERMSIG(status))};
  if (WEXITSTATUS(status) != 0 || all.size() < sizeof(numbers)) {
    return {.wrong = "ended with code " + std::to_string(WEXITSTATUS(status))};
  }
  std::memcpy(numbers, all.data(), sizeof(numbers));
  return {.wrong = all.substr(sizeof(numbers)), .trace = numbers[0], .steps = numbers[1], .virtual_micros = numbers[2]};
}

uint64_t Chance(uint64_t bound) { return Next(&world.chance) % bound; }

namespace {

// Before main, and before anything has an address that matters.
[[gnu::constructor]] void FixAddresses(int, char** argv, char** environment) {
  const int now = personality(0xffffffff);
  if (now == -1 || (now & ADDR_NO_RANDOMIZE) != 0) return;
  if (personality(static_cast<unsigned long>(now) | ADDR_NO_RANDOMIZE) == -1) return;
  char path[4096] = {};
  if (readlink("/proc/self/exe", path, sizeof(path) - 1) > 0) execve(path, argv, environment);
}

}  // namespace

}  // namespace tidemark::sim

// What everything in this program calls instead of the C library's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-inconsistent-declaration-parameter-name)
using namespace tidemark::sim;  // NOLINT(google-build-using-namespace): the definitions below are C's

extern "C" {

int pthread_create(pthread_t* handle, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  if (self == nullptr) {
    TM_REAL(pthread_create);
    return real(handle, attributes, start, argument);
  }
  const int code = Create(handle, attributes, start, argument);
  Preempt();
  return code;
}

int pthread_join(pthread_t handle, void** result) {
  Thread* const thread = self == nullptr ? nullptr : Find(handle);
  if (thread == nullptr) {
    TM_REAL(pthread_join);
    return real(handle, result);
  }
  while (thread->state != Thread::State::kDone) Block(thread, kNever);
  Reap(thread);
  if (result != nullptr) *result = thread->result;
  return 0;
}

int pthread_detach(pthread_t handle) {
  Thread* const thread = self == nullptr ? nullptr : Find(handle);
  if (thread == nullptr) {
    TM_REAL(pthread_detach);
    return real(handle);
  }
  thread->detached = true;
  if (thread->state == Thread::State::kDone) Reap(thread);
  return 0;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  if (self == nullptr) {
    TM_REAL(pthread_mutex_lock);
    return real(mutex);
  }
  const KeepErrno keep;
  Preempt();
  Lock(mutex);
  return 0;
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  if (self == nullptr) {
    TM_REAL(pthread_mutex_unlock);
    return real(mutex);
  }
  const KeepErrno keep;
  const int code = Unlock(mutex);
  Preempt();
  return code;
}

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  if (self == nullptr) {
    TM_REAL_VERSION(pthread_cond_wait, "GLIBC_2.3.2");
    return real(condition, mutex);
  }
  return Wait(condition, mutex, kNever);
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
  if (self == nullptr) {
    TM_REAL_VERSION(pthread_cond_timedwait, "GLIBC_2.3.2");
    return real(condition, mutex, until);
  }
  return Wait(condition, mutex, Deadline(*until));
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* until) {
  if (self == nullptr) {
    TM_REAL(pthread_cond_clockwait);
    return real(condition, mutex, clock, until);
  }
  return Wait(condition, mutex, Deadline(*until));
}

int pthread_cond_signal(pthread_cond_t* condition) noexcept {
  if (self == nullptr) {
    TM_REAL_VERSION(pthread_cond_signal, "GLIBC_2.3.2");
    return real(condition);
  }
  const KeepErrno keep;
  WakeOne(condition);
  Preempt();
  return 0;
}

int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
  if (self == nullptr) {
    TM_REAL_VERSION(pthread_cond_broadcast, "GLIBC_2.3.2");
    return real(condition);
  }
  const KeepErrno keep;
  WakeAll(condition);
  Preempt();
  return 0;
}

int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  if (self == nullptr) {
    TM_REAL(pthread_rwlock_rdlock);
    return real(lock);
  }
  TM_REAL(pthread_rwlock_tryrdlock);
  const KeepErrno keep;
  Preempt();
  while (real(lock) == EBUSY) Block(lock, kNever);
  return 0;
}

int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  if (self == nullptr) {
    TM_REAL(pthread_rwlock_wrlock);
    return real(lock);
  }
  TM_REAL(pthread_rwlock_trywrlock);
  const KeepErrno keep;
  Preempt();
  while (real(lock) == EBUSY) Block(lock, kNever);
  return 0;
}

int pthread_rwlock_unlock(pthread_rwlock_t* lock) noexcept {
  TM_REAL(pthread_rwlock_unlock);
  const int code = real(lock);
  if (self != nullptr) {
    const KeepErrno keep;
    WakeAll(lock);
    Preempt();
  }
  return code;
}

int sched_yield() noexcept {
  if (self == nullptr) {
    TM_REAL(sched_yield);
    return real();
  }
  world.now += 1000;
  Switch();
  return 0;
}

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (self == nullptr) {
    TM_REAL(clock_gettime);
    return real(clock, time);
  }
  world.now += kCallNanos;
  const bool wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  *time = ToTimespec(world.now + (wall ? kWallOffset : 0));
  return 0;
}

int gettimeofday(timeval* time, void* zone) noexcept {
  if (self == nullptr) {
    TM_REAL(gettimeofday);
    return real(time, zone);
  }
  const timespec now = ToTimespec(world.now + kWallOffset);
  *time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  if (self == nullptr) {
    TM_REAL(clock_nanosleep);
    return real(clock, flags, time, left);
  }
  Block(&self, (flags & TIMER_ABSTIME) != 0 ? Deadline(*time) : world.now + Nanos(*time));
  return 0;
}

int nanosleep(const timespec* time, timespec* left) {
  if (self == nullptr) {
    TM_REAL(nanosleep);
    return real(time, left);
  }
  Block(&self, world.now + Nanos(*time));
  return 0;
}

int usleep(useconds_t micros) {
  const timespec time = ToTimespec(uint64_t{micros} * 1000);
  return nanosleep(&time, nullptr);
}

ssize_t getrandom(void* buffer, size_t size, unsigned int flags) {
  if (self == nullptr) {
    TM_REAL(getrandom);
    return real(buffer, size, flags);
  }
  for (size_t i = 0; i < size; ++i) static_cast<char*>(buffer)[i] = static_cast<char>(Next(&world.random));
  return static_cast<ssize_t>(size);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,readability-inconsistent-declaration-parameter-name)
