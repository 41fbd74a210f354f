#include "agent/cri/host_probe.h"

#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/io/file.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the runtime gives a sandbox (kubelet's podSandboxOOMAdj). */
#define OOM_SCORE "-998"

bool host_probe_can_lower_oom_score(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) { /* only what is safe after fork with threads */
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : write(fd, OOM_SCORE, sizeof OOM_SCORE - 1);

        _exit(n == sizeof OOM_SCORE - 1 ? 0 : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false; /* asking for less works everywhere */
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool host_probe_has_overlayfs(const char *dir)
{
    auto_free char *top = mem_printf("%s/overlay-probe.%d", dir, (int)getpid());
    auto_free char *lower = mem_printf("%s/lower", top), *upper = mem_printf("%s/upper", top);
    auto_free char *work = mem_printf("%s/work", top), *merged = mem_printf("%s/merged", top);
    auto_free char *options = mem_printf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    struct err e;
    bool has = false;

    if (!mkdir(top, 0700) && !mkdir(lower, 0700) && !mkdir(upper, 0700) && !mkdir(work, 0700) &&
        !mkdir(merged, 0700) && !mount("overlay", merged, "overlay", 0, options)) {
        has = true;
        umount2(merged, MNT_DETACH);
    }
    err_ignore(file_remove_tree(top, &e)); /* empty folders; containerd does not mind them */
    return has;
}
