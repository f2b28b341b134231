// Lets clock_gettime fail once in the thread $FAULT_THREAD when the file $FAULT_FILE is there. The clock that bnsd reads by
// itself is spared: nobody would notice.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int failed;
    char name[16] = "";
    const char *thread = getenv("FAULT_THREAD"), *file = getenv("FAULT_FILE");
    if (clock != CLOCK_BOOTTIME && thread && file && !failed && prctl(PR_GET_NAME, name) == 0 &&
        strcmp(name, thread) == 0 && access(file, F_OK) == 0) {
        failed = 1;
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_clock_gettime, clock, time);
}
