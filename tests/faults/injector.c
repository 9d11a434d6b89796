/* Preloaded into a process (LD_PRELOAD): the calls that change files, counted, and one of them failed or ended by a kill.

   Counted are writes to regular files below a folder, and renames, links, removals, truncations and syncs of any file. `arm` starts to
   count. Only the process that armed it, its threads included, is counted: a fork of it is disarmed unless it arms itself. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 0, FAIL = 1, KILL_BEFORE = 2, KILL_AFTER = 3 };

static long at = -1, seen = 0;
static int mode = COUNT, error = 0;
static pid_t owner = 0;
static char below[4096];

void arm(const char *folder, long number, int what, int code)
{
    strncpy(below, folder, sizeof below - 1);
    at = number, seen = 0, mode = what, error = code, owner = getpid();
}

long counted(void) { return seen; }

static int is_file_below(int fd)
{
    char link[64], path[4096];
    struct stat about;
    if (syscall(SYS_fstat, fd, &about) || !S_ISREG(about.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length >= 0 && (path[length] = 0, strncmp(path, below, strlen(below)) == 0);
}

static void die(void) { kill(getpid(), SIGKILL); }

/* 1: the call is to fail. */
static int step(void)
{
    if (!owner || owner != getpid()) return 0;
    if (__atomic_fetch_add(&seen, 1, __ATOMIC_SEQ_CST) != at) return 0;
    if (mode == KILL_BEFORE) die();
    if (mode == FAIL) { errno = error; return 1; }
    return 0;
}

static void done(long number) { if (owner && owner == getpid() && mode == KILL_AFTER && number == at) die(); }

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define WATCHED(counts, call) do { \
        if (!owner || owner != getpid() || !(counts)) return call; \
        long number = seen; \
        if (step()) return -1; \
        __typeof__(call) found = call; \
        done(number); \
        return found; \
    } while (0)

ssize_t write(int fd, const void *data, size_t size) { REAL(write); WATCHED(is_file_below(fd), real(fd, data, size)); }
ssize_t writev(int fd, const struct iovec *data, int count) { REAL(writev); WATCHED(is_file_below(fd), real(fd, data, count)); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t place)
{ REAL(pwrite); WATCHED(is_file_below(fd), real(fd, data, size, place)); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place)
{ REAL(pwrite64); WATCHED(is_file_below(fd), real(fd, data, size, place)); }
int fsync(int fd) { REAL(fsync); WATCHED(1, real(fd)); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); WATCHED(is_file_below(fd), real(fd, size)); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); WATCHED(is_file_below(fd), real(fd, size)); }
int rename(const char *from, const char *to) { REAL(rename); WATCHED(1, real(from, to)); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); WATCHED(1, real(a, from, b, to)); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{ REAL(renameat2); WATCHED(1, real(a, from, b, to, flags)); }
int link(const char *from, const char *to) { REAL(link); WATCHED(1, real(from, to)); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); WATCHED(1, real(a, from, b, to, flags)); }
int unlink(const char *path) { REAL(unlink); WATCHED(1, real(path)); }
int unlinkat(int a, const char *path, int flags) { REAL(unlinkat); WATCHED(1, real(a, path, flags)); }
int rmdir(const char *path) { REAL(rmdir); WATCHED(1, real(path)); }
