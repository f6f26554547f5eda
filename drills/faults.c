/* Makes a disk fail for one program: built and loaded by drills/faults.py.

   Every operation on a path under FAULTS_UNDER is counted, over all processes, in the 8 bytes of
   FAULTS_COUNTER. From number FAULTS_AT on (1 is the first) so many as FAULTS_TIMES says fail with
   FAULTS_ERRNO, or where that is -1 the process is killed instead; each takes FAULTS_DELAY_US microseconds. FAULTS_KIND says which count: "write",
   "read", "rename", or "lock" (file locks, wherever they are). The clock is FAULTS_CLOCK seconds
   ahead.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char under[PATH_MAX], kind[16];
static long at, times, delay, code, ahead;
static long *counter;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAULTS_UNDER"), *count = getenv("FAULTS_COUNTER");
  if (!path || !count) return;
  ahead = atol(getenv("FAULTS_CLOCK"));
  at = atol(getenv("FAULTS_AT")), times = atol(getenv("FAULTS_TIMES"));
  delay = atol(getenv("FAULTS_DELAY_US")), code = atol(getenv("FAULTS_ERRNO"));
  snprintf(kind, sizeof kind, "%s", getenv("FAULTS_KIND"));
  int fd = open(count, O_RDWR);
  if (fd < 0) return;
  void *mapped = mmap(0, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) return;
  snprintf(under, sizeof under, "%s", path);
  counter = mapped;
}

/* Whether an operation of this kind fails; sets errno. */
static int fails(const char *what, const char *path) {
  if (!counter || strcmp(what, kind)) return 0;
  if (strcmp(what, "lock") && (!path || strncmp(path, under, strlen(under)))) return 0;
  if (delay) usleep(delay);
  long number = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
  if (!at || number < at || number >= at + times) return 0;
  if (code < 0) kill(getpid(), SIGKILL);
  errno = code;
  return 1;
}

static int fails_at(const char *what, int folder, const char *path) {
  char whole[PATH_MAX * 2], link[64];
  if (!counter) return 0;
  if (path && path[0] == '/') return fails(what, path);
  if (folder == AT_FDCWD) {
    if (!getcwd(whole, PATH_MAX)) return 0;
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    if (length < 0) return 0;
    whole[length] = 0;
  }
  if (path) strcat(whole, "/"), strncat(whole, path, PATH_MAX - 1);
  return fails(what, whole);
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define ON_FD(result, name, declared, passed) \
  result name declared { \
    REAL(name); \
    return fails_at("write", fd, 0) ? -1 : real passed; \
  }

ON_FD(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
ON_FD(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
ON_FD(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
ON_FD(ssize_t, writev, (int fd, const struct iovec *data, int count), (fd, data, count))
ON_FD(int, fsync, (int fd), (fd))
ON_FD(int, fdatasync, (int fd), (fd))

#define ON_READ(result, name, declared, passed) \
  result name declared { \
    REAL(name); \
    return fails_at("read", fd, 0) ? -1 : real passed; \
  }
ON_READ(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
ON_READ(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
ON_READ(ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))

int posix_fallocate(int fd, off_t at, off_t size) {
  REAL(posix_fallocate);
  return fails_at("write", fd, 0) ? (int)code : real(fd, at, size);
}

/* Only what makes a file counts as writing one. */
#define OPENING(name, folder_declared, folder) \
  int name(folder_declared const char *path, int flags, ...) { \
    static int (*real)(int, const char *, int, ...); \
    if (!real) real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat"); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
      va_list more; \
      va_start(more, flags), mode = va_arg(more, mode_t), va_end(more); \
    } \
    if (fails_at(flags & O_CREAT ? "write" : "read", folder, path)) return -1; \
    return real(folder, path, flags, mode); \
  }
#define COMMA ,
OPENING(open, , AT_FDCWD)
OPENING(open64, , AT_FDCWD)
OPENING(openat, int folder COMMA, folder)
OPENING(openat64, int folder COMMA, folder)

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  return fails_at("write", AT_FDCWD, path) ? -1 : real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
  REAL(mkdirat);
  return fails_at("write", folder, path) ? -1 : real(folder, path, mode);
}

int rename(const char *old, const char *new) {
  REAL(rename);
  if (fails_at("write", AT_FDCWD, new) || fails_at("rename", AT_FDCWD, new)) return -1;
  return real(old, new);
}

int renameat(int from, const char *old, int to, const char *new) {
  REAL(renameat);
  if (fails_at("write", to, new) || fails_at("rename", to, new)) return -1;
  return real(from, old, to, new);
}

int flock(int fd, int operation) {
  REAL(flock);
  return fails("lock", 0) ? -1 : real(fd, operation);
}

static int lock(const char *name, int fd, int command, void *argument) {
  int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
  int is_lock = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK;
  return is_lock && fails("lock", 0) ? -1 : real(fd, command, argument);
}

int fcntl(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void *argument = va_arg(more, void *);
  va_end(more);
  return lock("fcntl", fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void *argument = va_arg(more, void *);
  va_end(more);
  return lock("fcntl64", fd, command, argument);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(clock_gettime);
  int status = real(clock, now);
  if (!status && clock == CLOCK_REALTIME) now->tv_sec += ahead;
  return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
  int status = real(now, zone);
  if (!status) now->tv_sec += ahead;
  return status;
}

time_t time(time_t *place) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (place) *place = now.tv_sec;
  return now.tv_sec;
}
