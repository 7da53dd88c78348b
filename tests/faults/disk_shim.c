/* Faults of the disk, preloaded into a process: its changes of files below one folder are counted, and the N-th fails.

   A test arms the shim by `disk_shim_arm`, or by the environment for a program that it does not call itself:
   DISK_SHIM_PROGRAM (the end of the program's path), DISK_SHIM_FOLDER, DISK_SHIM_AT, DISK_SHIM_MODE, and DISK_SHIM_MADE, a file
   that is created when the fault happens.

   The journal, if there is one, has a record for each change: kind, inode, offset, the lengths of two texts (each at most 4 GB),
   then the texts: the written bytes and nothing, or the path and the second path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { KILL = 1, TEAR, FULL_ONCE, FULL, BROKEN_ONCE, BROKEN };

static char folder[PATH_MAX], made[PATH_MAX];
static long at, count;
static struct timespec since;
static int mode, journal = -1;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void disk_shim_arm(const char *path, long point, int what, int log) {
  snprintf(folder, sizeof folder, "%s", path);
  at = point, mode = what, journal = log, count = 0;
}

long disk_shim_count(void) { return count; }

__attribute__((constructor)) static void arm_by_environment(void) {
  char program[PATH_MAX] = "";
  const char *wanted = getenv("DISK_SHIM_PROGRAM");
  if (!wanted || readlink("/proc/self/exe", program, sizeof program - 1) < 0) return;
  size_t length = strlen(program), end = strlen(wanted);
  if (length >= end && !strcmp(program + length - end, wanted)) {
    /* A copy: servers write their title over their environment. */
    snprintf(made, sizeof made, "%s", getenv("DISK_SHIM_MADE"));
    disk_shim_arm(getenv("DISK_SHIM_FOLDER"), atol(getenv("DISK_SHIM_AT")), atoi(getenv("DISK_SHIM_MODE")), -1);
  }
}

static int ends_with(const char *path, const char *end) {
  size_t length = strlen(path), tail = strlen(end);
  return length >= tail && !strcmp(path + length - tail, end);
}

/* Locks, logs and SQLite's index of its journal in shared memory do not have to survive anything. */
static int is_watched(const char *path) {
  return *folder && !strncmp(path, folder, strlen(folder)) && !ends_with(path, ".lock") && !ends_with(path, "-shm") &&
         !ends_with(path, ".log") && (mode == 0 || !ends_with(path, "/acknowledged"));
}

static int path_of(int descriptor, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = 0;
  return length > 0 && is_watched(path);
}

static void die(void) { kill(getpid(), SIGKILL), pause(); }

static void note(char kind, uint64_t inode, uint64_t offset, const void *first, uint32_t one, const void *second, uint32_t two) {
  if (journal < 0) return;
  struct __attribute__((packed)) { char kind; uint64_t inode, offset; uint32_t one, two; } head = {kind, inode, offset, one, two};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)first, one}, {(void *)second, two}};
  if (REAL(writev)(journal, parts, 3) < 0) abort();
}

static uint64_t inode_of(int descriptor) {
  struct stat state;
  return fstat(descriptor, &state) ? 0 : state.st_ino;
}

/* Whether a fault that lasts goes on: for a third of a second, so that a process that waits for its end sees it. */
static int lasts(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (count == at) since = now;
  return now.tv_sec - since.tv_sec + 1e-9 * (now.tv_nsec - since.tv_nsec) < 0.3;
}

/* Count a change. Returns an errno that it fails with, -1 for a torn write after which the process dies, or 0. */
static int change(void) {
  count++;
  if (count < at || at == 0 || (count > at && mode != FULL && mode != BROKEN) || !lasts()) return 0;
  if (*made && count == at) close(creat(made, 0600));
  if (mode == KILL) die();
  if (mode == TEAR) return -1;
  return mode == FULL || mode == FULL_ONCE ? ENOSPC : EIO;
}

/* Perform a change of the file system's names or of a file's state: `call` sets `result`. */
#define CHANGE(is_watched_one, call, record)                                                                                       \
  int result, fault = 0;                                                                                                           \
  if (!(is_watched_one)) return call;                                                                                              \
  pthread_mutex_lock(&lock);                                                                                                       \
  fault = change();                                                                                                                \
  if (fault > 0) result = -1;                                                                                                      \
  else {                                                                                                                           \
    result = call;                                                                                                                 \
    if (fault < 0) die();                                                                                                          \
    if (result >= 0) { record; }                                                                                                   \
  }                                                                                                                                \
  int error = fault > 0 ? fault : errno;                                                                                           \
  pthread_mutex_unlock(&lock);                                                                                                     \
  errno = error;                                                                                                                   \
  return result

#define NAMES(kind, one, two) note(kind, 0, 0, one, strlen(one), two, strlen(two))

int rename(const char *old, const char *new) {
  CHANGE(is_watched(new), REAL(rename)(old, new), NAMES('r', old, new));
}
int link(const char *old, const char *new) { CHANGE(is_watched(new), REAL(link)(old, new), NAMES('l', old, new)); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
  CHANGE(is_watched(new), REAL(linkat)(from, old, to, new, flags), NAMES('l', old, new));
}
int unlink(const char *path) { CHANGE(is_watched(path), REAL(unlink)(path), NAMES('u', path, "")); }
int mkdir(const char *path, mode_t rights) { CHANGE(is_watched(path), REAL(mkdir)(path, rights), NAMES('m', path, "")); }

#define SYNC(name)                                                                                                                 \
  int name(int descriptor) {                                                                                                       \
    char path[PATH_MAX];                                                                                                           \
    CHANGE(path_of(descriptor, path), REAL(name)(descriptor), note('s', inode_of(descriptor), 0, path, strlen(path), "", 0));       \
  }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, type)                                                                                                       \
  int name(int descriptor, type size) {                                                                                            \
    char path[PATH_MAX];                                                                                                           \
    CHANGE(path_of(descriptor, path), REAL(name)(descriptor, size), note('t', inode_of(descriptor), size, "", 0, "", 0));           \
  }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define OPEN(name, arguments, passed)                                                                                              \
  int name arguments {                                                                                                             \
    va_list more;                                                                                                                  \
    va_start(more, flags);                                                                                                         \
    mode_t rights = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                                                     \
    va_end(more);                                                                                                                  \
    int creates = (flags & O_CREAT) && is_watched(path) && REAL(access)(path, F_OK);                                               \
    int empties = (flags & O_TRUNC) && is_watched(path);                                                                           \
    CHANGE(creates || empties, REAL(name) passed, {                                                                                \
      if (creates) note('c', inode_of(result), 0, path, strlen(path), "", 0);                                                      \
      if (empties) note('t', inode_of(result), 0, "", 0, "", 0);                                                                   \
    });                                                                                                                            \
  }
OPEN(open, (const char *path, int flags, ...), (path, flags, rights))
OPEN(open64, (const char *path, int flags, ...), (path, flags, rights))
OPEN(openat, (int at_folder, const char *path, int flags, ...), (at_folder, path, flags, rights))
OPEN(openat64, (int at_folder, const char *path, int flags, ...), (at_folder, path, flags, rights))

/* Perform a write: half of it and the process's death, an error, or all. */
#define WRITE(watched, half, call, record)                                                                                         \
  ssize_t result;                                                                                                                  \
  if (!(watched)) return call;                                                                                                     \
  pthread_mutex_lock(&lock);                                                                                                       \
  int fault = change(), error = fault;                                                                                             \
  if (fault < 0) { if (half < 0) abort(); die(); }                                                                                 \
  if (fault > 0) result = -1;                                                                                                      \
  else {                                                                                                                           \
    record;                                                                                                                        \
    result = call, error = errno;                                                                                                  \
  }                                                                                                                                \
  pthread_mutex_unlock(&lock);                                                                                                     \
  errno = error;                                                                                                                   \
  return result

static uint64_t place_of(int descriptor) {
  struct stat state;
  if ((fcntl(descriptor, F_GETFL) & O_APPEND) && !fstat(descriptor, &state)) return state.st_size;
  return lseek(descriptor, 0, SEEK_CUR);
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
  char path[PATH_MAX];
  WRITE(path_of(descriptor, path), REAL(write)(descriptor, bytes, size / 2), REAL(write)(descriptor, bytes, size),
        note('w', inode_of(descriptor), place_of(descriptor), bytes, size, "", 0));
}

#define PWRITE(name, type)                                                                                                         \
  ssize_t name(int descriptor, const void *bytes, size_t size, type offset) {                                                      \
    char path[PATH_MAX];                                                                                                           \
    WRITE(path_of(descriptor, path), REAL(name)(descriptor, bytes, size / 2, offset), REAL(name)(descriptor, bytes, size, offset), \
          note('w', inode_of(descriptor), offset, bytes, size, "", 0));                                                            \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
