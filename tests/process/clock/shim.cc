// A wall clock that a test can set while the server runs: preloaded (LD_PRELOAD), it adds to CLOCK_REALTIME the seconds
// that the file TM_CLOCK_FILE holds (8 bytes, signed, as they are in memory), read at every call. All other clocks stay
// true. libfaketime does the same for most programs, but not for one that uses jemalloc: their first calls wait for
// each other.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace {

const volatile int64_t* offset_seconds = nullptr;

__attribute__((constructor(101))) void Begin() {
  const char* path = getenv("TM_CLOCK_FILE");
  const int fd = path == nullptr ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  if (fd < 0) return;
  void* mapped = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) offset_seconds = static_cast<const volatile int64_t*>(mapped);
  syscall(SYS_close, fd);
}

int64_t Offset() { return offset_seconds == nullptr ? 0 : *offset_seconds; }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const int result = static_cast<int>(syscall(SYS_clock_gettime, clock, now));
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += Offset();
  return result;
}

int gettimeofday(timeval* now, void*) noexcept {
  timespec precise{};
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
