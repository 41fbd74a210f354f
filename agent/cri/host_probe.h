#pragma once
/*
 * Host probe: what this host lets containers do, found by trying it. Blocking; any thread.
 */
#include <stdbool.h>

/* May a child of ours lower its oom_score_adj? Roots without CAP_SYS_RESOURCE may not, and runc
 * then fails with "can't get final child's PID from pipe" unless containerd does not ask for it. */
bool host_probe_can_lower_oom_score(void);

/* Can overlayfs be mounted in dir, which exists? Not on file systems without d_type or whiteouts,
 * nor on an overlay. */
bool host_probe_has_overlayfs(const char *dir);
