// Lets calls of the system fail:
// - clock_gettime once in the thread $FAULT_THREAD when the file $FAULT_FILE is there; the clock that bnsd reads by itself
//   is spared, nobody would notice;
// - the time of day, which is off by as many seconds as the file $FAULT_SHIFT says;
// - every read in the thread $FAULT_STUCK, which never returns;
// - every write to a file whose path contains $FAULT_FULL, whose disk is full, and only while $FAULT_WHILE is there if that
//   is set;
// - the call number $FAULT_KILL that changes a file whose path contains $FAULT_AT: the process is killed before it, or in the
//   middle of it if it is a write of more than a disk's sector;
// - the call number $FAULT_FAIL, if it is not 0, that changes a file whose path contains $FAULT_AT: it fails with the error number
//   $FAULT_ERROR, and with $FAULT_ON all such calls after it do. The file $FAULT_TOLD is made when the first one has failed.
// Nothing fails of what a stranger's code would do in a thread that reads datagrams, but it is done: $FAULT_TRY/new is opened
// for writing and $FAULT_TRY/secret for reading, once, and their error numbers go to the standard error.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int in_thread(const char *variable) {
    char name[16] = "";
    const char *thread = getenv(variable);
    return thread && prctl(PR_GET_NAME, name) == 0 && strcmp(name, thread) == 0;
}

// Whether a file's path contains what a variable says; nothing of the standard streams.
static int is_at(int file, const char *variable) {
    char link[64], path[4096];
    const char *part = getenv(variable);
    if (!part || file <= 2)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, part) != NULL;
}

static int is_full(int file) {
    const char *reason = getenv("FAULT_WHILE");
    if (!is_at(file, "FAULT_FULL") || (reason && access(reason, F_OK) != 0))
        return 0;
    errno = ENOSPC;
    return 1;
}

static int is_last(int is_at_it) {
    static atomic_int calls;
    const char *number = getenv("FAULT_KILL");
    return is_at_it && number && atomic_fetch_add(&calls, 1) + 1 == atoi(number);
}

static void end(int is_at_it) {
    if (is_last(is_at_it))
        kill(getpid(), SIGKILL);
}

// Whether a call that changes a file has to fail.
static int fails(int is_at_it) {
    static atomic_int calls;
    const char *number = getenv("FAULT_FAIL"), *told = getenv("FAULT_TOLD");
    if (!is_at_it || !number)
        return 0;
    int call = atomic_fetch_add(&calls, 1) + 1, first = atoi(number);
    if (!first || call < first || (call > first && !getenv("FAULT_ON")))
        return 0;
    if (told)
        syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, told, O_CREAT | O_WRONLY, 0600));
    errno = atoi(getenv("FAULT_ERROR"));
    return 1;
}

static int names(const char *path) {
    const char *part = getenv("FAULT_AT");
    return part && strstr(path, part) != NULL;
}

static long shift(void) {
    const char *path = getenv("FAULT_SHIFT");
    char digits[32] = "";
    int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    syscall(SYS_read, file, digits, sizeof digits - 1);
    syscall(SYS_close, file);
    return atol(digits);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int failed;
    const char *file = getenv("FAULT_FILE");
    if (clock != CLOCK_BOOTTIME && file && !failed && in_thread("FAULT_THREAD") && access(file, F_OK) == 0) {
        failed = 1;
        errno = EINVAL;
        return -1;
    }
    if (syscall(SYS_clock_gettime, clock, time) != 0)
        return -1;
    if (clock == CLOCK_REALTIME)
        time->tv_sec += shift();
    return 0;
}

ssize_t read(int file, void *bytes, size_t count) {
    while (in_thread("FAULT_STUCK"))
        pause();
    return syscall(SYS_read, file, bytes, count);
}

ssize_t write(int file, const void *bytes, size_t count) {
    if (is_last(is_at(file, "FAULT_AT"))) {
        syscall(SYS_write, file, bytes, count / 2 & ~511);
        kill(getpid(), SIGKILL);
    }
    return is_full(file) || fails(is_at(file, "FAULT_AT")) ? -1 : syscall(SYS_write, file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t place) {
    if (is_last(is_at(file, "FAULT_AT"))) {
        syscall(SYS_pwrite64, file, bytes, count / 2 & ~511, place);
        kill(getpid(), SIGKILL);
    }
    return is_full(file) || fails(is_at(file, "FAULT_AT")) ? -1 : syscall(SYS_pwrite64, file, bytes, count, place);
}

int ftruncate64(int file, off_t length) {
    end(is_at(file, "FAULT_AT"));
    return is_full(file) || fails(is_at(file, "FAULT_AT")) ? -1 : syscall(SYS_ftruncate, file, length);
}

int fdatasync(int file) {
    end(is_at(file, "FAULT_AT"));
    return fails(is_at(file, "FAULT_AT")) ? -1 : syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    end(is_at(file, "FAULT_AT"));
    return fails(is_at(file, "FAULT_AT")) ? -1 : syscall(SYS_fsync, file);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    int makes = (flags & O_CREAT) && names(path);
    end(makes);
    return fails(makes) ? -1 : syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int rename(const char *from, const char *to) {
    end(names(from));
    return fails(names(from)) ? -1 : syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    end(names(path));
    return fails(names(path)) ? -1 : syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int link(const char *from, const char *to) {
    return fails(names(to)) ? -1 : syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    return fails(names(to)) ? -1 : syscall(SYS_linkat, from_at, from, to_at, to, flags);
}

int mkdir(const char *path, mode_t mode) {
    return fails(names(path)) ? -1 : syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

static int tried(const char *directory, const char *name, int flags) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
    int error = file < 0 ? errno : 0;
    if (file >= 0)
        syscall(SYS_close, file);
    return error;
}

int recvmmsg(int socket, struct mmsghdr *messages, unsigned count, int flags, struct timespec *time) {
    static atomic_int begun;
    const char *directory = getenv("FAULT_TRY");
    if (directory && !atomic_exchange(&begun, 1))
        dprintf(2, "tried: write %d, read %d\n", tried(directory, "new", O_WRONLY | O_CREAT),
                tried(directory, "secret", O_RDONLY));
    return syscall(SYS_recvmmsg, socket, messages, count, flags, time);
}
