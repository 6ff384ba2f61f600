// A disk that can lose power, under the whole server, RocksDB included: preloaded (LD_PRELOAD), it passes every call on
// and writes down, in a journal outside the folder, what was changed and what was synced. After kill -9, image.py makes
// from journal and the folder's state at the start what a power failure could have left; what it models stands there.
//
//   TM_POWERLOSS_FOLDER   absolute path of the folder that is watched
//   TM_POWERLOSS_JOURNAL  file that the journal is appended to
//   TM_POWERLOSS_LIE      when set: files and folders whose path contains it are never synced, and fsync says they were
//
// The journal is a row of entries: the 48 bytes of Entry, the first name, the second name, the data. A change is
// written down after it has happened and before the call returns; a sync when it begins and when it has ended. So
// whoever acts on a sync that returned finds its end in the journal, and a sync covers exactly the changes written down
// before its beginning. Calls go to the kernel directly, without dlsym, since the first come before the C++ runtime
// (jemalloc) is up. Not covered, and stopped loudly: shared writable mappings, copy_file_range. Not seen: stdio, which
// only RocksDB's own message file (LOG) uses.
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>

namespace {

enum Kind : uint8_t {
  kOpen = 1,       // ino; a: 1 for a folder; name
  kCreate = 2,     // ino; name
  kWrite = 3,      // ino; a: offset; data
  kTruncate = 4,   // ino; a: size
  kExtend = 5,     // ino; a: size the file has at least
  kSyncBegin = 6,  // ino; a: number of the sync
  kSyncEnd = 7,    // ino; a: number of the sync
  kRename = 8,     // name, second name
  kLink = 9,       // name, second name
  kUnlink = 10,    // name
  kMakeFolder = 11,
  kRemoveFolder = 12,
};

struct Entry {
  uint32_t magic;
  uint8_t kind;
  uint8_t unused[3];
  uint32_t name_bytes;
  uint32_t second_bytes;
  uint64_t ino;
  uint64_t a;
  uint64_t data_bytes;
  uint64_t reserved;
};
static_assert(sizeof(Entry) == 48);

constexpr uint32_t kMagic = 0x4a504d54;  // "TMPJ"
constexpr int kFilesMax = 1 << 16;

char folder[PATH_MAX];
char lie[PATH_MAX];
int journal = -1;
std::atomic<uint64_t> syncs{0};
// By file descriptor: the inode, 0 while not watched; whether its syncs lie.
std::atomic<uint64_t> inodes[kFilesMax];
std::atomic<bool> lies[kFilesMax];

[[noreturn]] void Die(const char* what) {
  char text[256];
  const int count = snprintf(text, sizeof(text), "powerloss shim: %s (errno %d)\n", what, errno);
  syscall(SYS_write, 2, text, count);
  abort();
}

__attribute__((constructor(101))) void Begin() {
  const char* path = getenv("TM_POWERLOSS_JOURNAL");
  const char* watched = getenv("TM_POWERLOSS_FOLDER");
  if (path == nullptr || watched == nullptr) return;
  journal = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (journal < 0) Die("cannot open the journal");
  if (const char* contained = getenv("TM_POWERLOSS_LIE")) snprintf(lie, sizeof(lie), "%s", contained);
  snprintf(folder, sizeof(folder), "%s", watched);
}

void Note(Kind kind, uint64_t ino, uint64_t a, const char* name = "", const char* second = "",
          const void* data = nullptr, size_t data_bytes = 0) {
  Entry entry{};
  entry.magic = kMagic;
  entry.kind = kind;
  entry.name_bytes = static_cast<uint32_t>(strlen(name));
  entry.second_bytes = static_cast<uint32_t>(strlen(second));
  entry.ino = ino;
  entry.a = a;
  entry.data_bytes = data_bytes;
  const iovec parts[] = {{&entry, sizeof(entry)},
                         {const_cast<char*>(name), entry.name_bytes},
                         {const_cast<char*>(second), entry.second_bytes},
                         {const_cast<void*>(data), data_bytes}};
  const size_t total = sizeof(entry) + entry.name_bytes + entry.second_bytes + data_bytes;
  // One call, so that entries of several threads do not mix.
  if (syscall(SYS_writev, journal, parts, 4) != static_cast<int64_t>(total)) Die("cannot write the journal");
}

// The absolute path, into `out`; false when it is not in the watched folder. Keeps errno.
bool Watched(int at, const char* path, char* out) {
  if (folder[0] == 0 || path == nullptr) return false;
  const int saved = errno;
  if (path[0] == '/') {
    snprintf(out, PATH_MAX, "%s", path);
  } else {
    char base[PATH_MAX] = {};
    char link[64];
    snprintf(link, sizeof(link), at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
    const int64_t count = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof(base) - 1);
    if (count > 0) snprintf(out, PATH_MAX, "%.*s/%.*s", static_cast<int>(count), base, 1024, path);
    if (count <= 0) out[0] = 0;
  }
  errno = saved;
  const size_t length = strlen(folder);
  return strncmp(out, folder, length) == 0 && (out[length] == '/' || out[length] == 0);
}

uint64_t Inode(int fd) { return fd >= 0 && fd < kFilesMax ? inodes[fd].load(std::memory_order_acquire) : 0; }

int Open(int at, const char* path, int flags, mode_t mode) {
  char whole[PATH_MAX];
  const bool watched = Watched(at, path, whole);
  const bool may_create = watched && (flags & O_CREAT) != 0;
  const bool existed = !may_create || syscall(SYS_faccessat, AT_FDCWD, whole, F_OK) == 0;
  const int fd = static_cast<int>(syscall(SYS_openat, at, path, flags, mode));
  if (fd < 0 || !watched) return fd;
  if (fd >= kFilesMax) Die("too many open files");
  struct stat info {};
  if (fstat(fd, &info) != 0) Die("cannot stat what was opened");
  if (existed) {
    Note(kOpen, info.st_ino, S_ISDIR(info.st_mode) ? 1 : 0, whole);
    if ((flags & O_TRUNC) != 0) Note(kTruncate, info.st_ino, 0);
  } else {
    Note(kCreate, info.st_ino, 0, whole);
  }
  lies[fd] = lie[0] != 0 && strstr(whole, lie) != nullptr;
  inodes[fd].store(info.st_ino, std::memory_order_release);
  return fd;
}

void Wrote(int fd, int64_t offset, const iovec* parts, int count, int64_t written) {
  const uint64_t ino = Inode(fd);
  if (ino == 0 || written <= 0) return;
  int64_t left = written;
  for (int i = 0; i < count && left > 0; ++i) {
    const int64_t bytes = static_cast<int64_t>(parts[i].iov_len) < left ? static_cast<int64_t>(parts[i].iov_len) : left;
    Note(kWrite, ino, static_cast<uint64_t>(offset), "", "", parts[i].iov_base, static_cast<size_t>(bytes));
    offset += bytes;
    left -= bytes;
  }
}

// Where the sequential write that ended just now had begun.
int64_t Began(int fd, int64_t written) { return syscall(SYS_lseek, fd, 0, SEEK_CUR) - written; }

int Sync(int64_t call, int fd) {
  const uint64_t ino = Inode(fd);
  if (ino == 0) return static_cast<int>(syscall(call, fd));
  if (lies[fd]) return 0;
  const uint64_t number = syncs.fetch_add(1);
  Note(kSyncBegin, ino, number);
  const int result = static_cast<int>(syscall(call, fd));
  if (result == 0) Note(kSyncEnd, ino, number);
  return result;
}

int Fallocate(int fd, int mode, off_t offset, off_t length) {
  const int result = static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, length));
  if (result != 0 || Inode(fd) == 0) return result;
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) Die("a mode of fallocate that is not modelled");
  if (mode == 0) Note(kExtend, Inode(fd), static_cast<uint64_t>(offset + length));
  return result;
}

int Rename(int from_at, const char* from, int to_at, const char* to, unsigned flags) {
  char old_path[PATH_MAX];
  char new_path[PATH_MAX];
  const bool watched = Watched(from_at, from, old_path);
  if (Watched(to_at, to, new_path) != watched) Die("a rename over the border of the folder");
  const int result = static_cast<int>(syscall(SYS_renameat2, from_at, from, to_at, to, flags));
  if (result == 0 && watched) Note(kRename, 0, 0, old_path, new_path);
  return result;
}

int Link(int from_at, const char* from, int to_at, const char* to, int flags) {
  char old_path[PATH_MAX];
  char new_path[PATH_MAX];
  const bool watched = Watched(from_at, from, old_path);
  if (Watched(to_at, to, new_path) != watched) Die("a link over the border of the folder");
  const int result = static_cast<int>(syscall(SYS_linkat, from_at, from, to_at, to, flags));
  if (result == 0 && watched) Note(kLink, 0, 0, old_path, new_path);
  return result;
}

int Unlink(int at, const char* path, int flags) {
  char whole[PATH_MAX];
  const bool watched = Watched(at, path, whole);
  const int result = static_cast<int>(syscall(SYS_unlinkat, at, path, flags));
  if (result == 0 && watched) Note((flags & AT_REMOVEDIR) != 0 ? kRemoveFolder : kUnlink, 0, 0, whole);
  return result;
}

int MakeFolder(int at, const char* path, mode_t mode) {
  char whole[PATH_MAX];
  const bool watched = Watched(at, path, whole);
  const int result = static_cast<int>(syscall(SYS_mkdirat, at, path, mode));
  if (result == 0 && watched) Note(kMakeFolder, 0, 0, whole);
  return result;
}

int Truncate(int fd, off_t size) {
  const int result = static_cast<int>(syscall(SYS_ftruncate, fd, size));
  if (result == 0 && Inode(fd) != 0) Note(kTruncate, Inode(fd), static_cast<uint64_t>(size));
  return result;
}

void* Map(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  if (Inode(fd) != 0 && (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0) Die("a shared writable mapping");
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, length, protection, flags, fd, offset));
}

mode_t ModeOf(int flags, va_list rest) { return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0; }

}  // namespace

#define TM_OPEN(NAME)                          \
  int NAME(const char* path, int flags, ...) { \
    va_list rest;                              \
    va_start(rest, flags);                     \
    const mode_t mode = ModeOf(flags, rest);   \
    va_end(rest);                              \
    return Open(AT_FDCWD, path, flags, mode);  \
  }
#define TM_OPENAT(NAME)                                \
  int NAME(int at, const char* path, int flags, ...) { \
    va_list rest;                                      \
    va_start(rest, flags);                             \
    const mode_t mode = ModeOf(flags, rest);           \
    va_end(rest);                                      \
    return Open(at, path, flags, mode);                \
  }

extern "C" {

TM_OPEN(open)
TM_OPEN(open64)
TM_OPENAT(openat)
TM_OPENAT(openat64)
int __open_2(const char* path, int flags) { return Open(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return Open(AT_FDCWD, path, flags, 0); }
int __openat_2(int at, const char* path, int flags) { return Open(at, path, flags, 0); }
int __openat64_2(int at, const char* path, int flags) { return Open(at, path, flags, 0); }
int creat(const char* path, mode_t mode) { return Open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char* path, mode_t mode) { return Open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
  if (fd >= 0 && fd < kFilesMax) inodes[fd].store(0, std::memory_order_release);
  return static_cast<int>(syscall(SYS_close, fd));
}

ssize_t write(int fd, const void* data, size_t count) {
  const ssize_t written = syscall(SYS_write, fd, data, count);
  const iovec part{const_cast<void*>(data), count};
  if (Inode(fd) != 0) Wrote(fd, Began(fd, written), &part, 1, written);
  return written;
}
ssize_t writev(int fd, const iovec* parts, int count) {
  const ssize_t written = syscall(SYS_writev, fd, parts, count);
  if (Inode(fd) != 0) Wrote(fd, Began(fd, written), parts, count, written);
  return written;
}
ssize_t pwrite(int fd, const void* data, size_t count, off_t offset) {
  const ssize_t written = syscall(SYS_pwrite64, fd, data, count, offset);
  const iovec part{const_cast<void*>(data), count};
  Wrote(fd, offset, &part, 1, written);
  return written;
}
ssize_t pwrite64(int fd, const void* data, size_t count, off_t offset) { return pwrite(fd, data, count, offset); }
ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  const ssize_t written = syscall(SYS_pwritev, fd, parts, count, offset, 0);
  Wrote(fd, offset, parts, count, written);
  return written;
}
ssize_t pwritev64(int fd, const iovec* parts, int count, off_t offset) { return pwritev(fd, parts, count, offset); }

int ftruncate(int fd, off_t size) noexcept { return Truncate(fd, size); }
int ftruncate64(int fd, off_t size) noexcept { return Truncate(fd, size); }
int fallocate(int fd, int mode, off_t offset, off_t length) { return Fallocate(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off_t offset, off_t length) { return Fallocate(fd, mode, offset, length); }
// This one returns the error, and its length counts from the offset.
int posix_fallocate(int fd, off_t offset, off_t length) { return Fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off_t offset, off_t length) { return posix_fallocate(fd, offset, length); }

int fsync(int fd) { return Sync(SYS_fsync, fd); }
int fdatasync(int fd) { return Sync(SYS_fdatasync, fd); }

int rename(const char* from, const char* to) noexcept { return Rename(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char* from, int to_at, const char* to) noexcept {
  return Rename(from_at, from, to_at, to, 0);
}
int renameat2(int from_at, const char* from, int to_at, const char* to, unsigned flags) noexcept {
  return Rename(from_at, from, to_at, to, flags);
}
int link(const char* from, const char* to) noexcept { return Link(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_at, const char* from, int to_at, const char* to, int flags) noexcept {
  return Link(from_at, from, to_at, to, flags);
}
int unlink(const char* path) noexcept { return Unlink(AT_FDCWD, path, 0); }
int unlinkat(int at, const char* path, int flags) noexcept { return Unlink(at, path, flags); }
int rmdir(const char* path) noexcept { return Unlink(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) noexcept {
  const int result = Unlink(AT_FDCWD, path, 0);
  return result != 0 && errno == EISDIR ? Unlink(AT_FDCWD, path, AT_REMOVEDIR) : result;
}
int mkdir(const char* path, mode_t mode) noexcept { return MakeFolder(AT_FDCWD, path, mode); }
int mkdirat(int at, const char* path, mode_t mode) noexcept { return MakeFolder(at, path, mode); }

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  return Map(address, length, protection, flags, fd, offset);
}
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  return Map(address, length, protection, flags, fd, offset);
}

ssize_t copy_file_range(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t length, unsigned flags) {
  if (Inode(to) != 0) Die("copy_file_range");
  return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length, flags);
}

}  // extern "C"
