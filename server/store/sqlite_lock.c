#include "server/store/sqlite_lock.h"

#include "base/core/log.h"
#include "base/core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int sqlite_lock(int *fd_out, const char *path, struct err *e)
{
    auto_free char *lock = mem_printf("%s.lock", path);
    char pid[32] = "";
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int n;

    if (fd < 0)
        return err_sys(e, errno, "open %s", lock);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int sys = errno;
        ssize_t got = read(fd, pid, sizeof pid - 1);
        close(fd);
        if (sys != EWOULDBLOCK)
            return err_sys(e, sys, "lock %s", lock);
        pid[got > 0 ? got : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        return err_set(e, ERR_AGAIN, "database %s is in use by another process (pid %s)", path,
                       *pid ? pid : "unknown");
    }
    *fd_out = fd;
    n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
        log_debug("cannot note the pid in the lock file", kv("path", lock)); /* a hint only */
    return 0;
}
