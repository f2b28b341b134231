// Lets calls of the system fail:
// - clock_gettime once in the thread $FAULT_THREAD when the file $FAULT_FILE is there; the clock that bnsd reads by itself
//   is spared, nobody would notice;
// - every read in the thread $FAULT_STUCK, which never returns;
// - every write to a file whose path contains $FAULT_FULL, whose disk is full.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int in_thread(const char *variable) {
    char name[16] = "";
    const char *thread = getenv(variable);
    return thread && prctl(PR_GET_NAME, name) == 0 && strcmp(name, thread) == 0;
}

static int is_full(int file) {
    char link[64], path[4096];
    const char *part = getenv("FAULT_FULL");
    if (!part || file <= 2)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (!strstr(path, part))
        return 0;
    errno = ENOSPC;
    return 1;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int failed;
    const char *file = getenv("FAULT_FILE");
    if (clock != CLOCK_BOOTTIME && file && !failed && in_thread("FAULT_THREAD") && access(file, F_OK) == 0) {
        failed = 1;
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_clock_gettime, clock, time);
}

ssize_t read(int file, void *bytes, size_t count) {
    while (in_thread("FAULT_STUCK"))
        pause();
    return syscall(SYS_read, file, bytes, count);
}

ssize_t write(int file, const void *bytes, size_t count) {
    return is_full(file) ? -1 : syscall(SYS_write, file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t place) {
    return is_full(file) ? -1 : syscall(SYS_pwrite64, file, bytes, count, place);
}

int ftruncate64(int file, off_t length) {
    return is_full(file) ? -1 : syscall(SYS_ftruncate, file, length);
}
