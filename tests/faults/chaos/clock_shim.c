/* A clock that jumps, preloaded into processes: it is the system's clock plus the offset that a shared file holds.

   CLOCK_SHIM_FILE names the file: the number of jumps, then the real time and the new offset of each (ns, 64 bits). Times of files
   are moved too, by the offset that was in force when they were set, as if the system's own clock had jumped. The monotonic
   clock runs on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

enum { MOST = 1000 };
static const struct {
  volatile int64_t count;
  struct { int64_t at, offset; } jumps[MOST];
} *table;
static const int64_t SECOND = 1000000000;

#define REAL(name)                                                                                                                 \
  static __typeof__(&name) real;                                                                                                   \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void open_table(void) {
  const char *path = getenv("CLOCK_SHIM_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *found = mmap(NULL, sizeof *table, PROT_READ, MAP_SHARED, file, 0);
  if (found != MAP_FAILED) table = found;
}

static void move(struct timespec *time, int64_t offset) {
  int64_t moved = time->tv_sec * SECOND + time->tv_nsec + offset;
  time->tv_sec = moved / SECOND, time->tv_nsec = moved % SECOND;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  REAL(clock_gettime);
  int result = real(clock, time);
  if (!result && table && table->count && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    move(time, table->jumps[table->count - 1].offset);
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec, time->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}

static void move_file_time(struct timespec *time) {
  int64_t at = time->tv_sec * SECOND + time->tv_nsec;
  for (int64_t last = table->count - 1; last >= 0; last--)
    /* The kernel's clock of files lags by a tick: 10 ms at most. */
    if (table->jumps[last].at - SECOND / 100 <= at) {
      move(time, table->jumps[last].offset);
      return;
    }
}

#define STAT(name, type, arguments, passed)                                                                                        \
  int name arguments {                                                                                                             \
    REAL(name);                                                                                                                    \
    int result = real passed;                                                                                                      \
    if (!result && table) move_file_time(&state->st_mtim), move_file_time(&state->st_ctim), move_file_time(&state->st_atim);       \
    return result;                                                                                                                 \
  }
STAT(stat64, stat64, (const char *restrict path, struct stat64 *restrict state), (path, state))
STAT(lstat64, stat64, (const char *restrict path, struct stat64 *restrict state), (path, state))
STAT(fstat64, stat64, (int file, struct stat64 *state), (file, state))
STAT(fstatat64, stat64, (int at, const char *restrict path, struct stat64 *restrict state, int flags), (at, path, state, flags))
