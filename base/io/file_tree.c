#include "base/io/file.h"

#include "base/core/mem.h"
#include "base/core/rand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Removing a tree whose shape somebody else chose (a pod's volume). Every step is relative to an
 * open directory and follows no link, so nothing outside can be named by swapping a directory for a
 * link meanwhile. A tree deeper than our stack and descriptors is flattened: what lies too deep is
 * moved up to the top under a random name and found there again.
 */
#define DEPTH_MAX 64

struct removal {
    int top_fd;
    bool moved; /* something came up to the top: look again */
};

static int remove_in(struct removal *r, int dir_fd, const char *name, int depth, struct err *e);

static bool is_mount_root(int dir_fd, const char *name)
{
    struct statx sx;

    return !statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &sx) &&
           (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int empty_dir(struct removal *r, int fd_take, int depth, struct err *e)
{
    DIR *d = fdopendir(fd_take);
    struct dirent *ent;
    int result = 0;

    if (!d) {
        result = err_sys(e, errno, "open directory");
        close(fd_take);
        return result;
    }
    while (!result && (errno = 0, ent = readdir(d))) {
        if (!strcmp(ent->d_name, ".") || !strcmp(ent->d_name, ".."))
            continue;
        result = remove_in(r, dirfd(d), ent->d_name, depth, e);
        if (result)
            err_wrap(e, "%.64s", ent->d_name);
    }
    if (!result && errno)
        result = err_sys(e, errno, "read directory");
    closedir(d);
    return result;
}

static int move_up(struct removal *r, int dir_fd, const char *name, struct err *e)
{
    char hex[17], up[32];

    rand_hex(hex, 8);
    snprintf(up, sizeof up, ".rm-%s", hex);
    if (renameat(dir_fd, name, r->top_fd, up))
        return err_sys(e, errno, "move up");
    r->moved = true;
    return 0;
}

static int remove_in(struct removal *r, int dir_fd, const char *name, int depth, struct err *e)
{
    int fd;

    if (!unlinkat(dir_fd, name, 0) || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM && errno != EBUSY)
        return err_sys(e, errno, "remove");
    if (is_mount_root(dir_fd, name))
        return err_set(e, ERR_CONFLICT, "a file system is mounted here");
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open");
    if (depth >= DEPTH_MAX) {
        close(fd);
        return move_up(r, dir_fd, name, e);
    }
    if (empty_dir(r, fd, depth + 1, e))
        return e->code;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) && errno != ENOENT)
        return err_sys(e, errno, "remove directory");
    return 0;
}

int file_remove_tree(const char *path, struct err *e)
{
    auto_close int top = -1;
    struct removal r;

    if (!unlink(path) || errno == ENOENT)
        return 0;
    if (is_mount_root(AT_FDCWD, path))
        return err_set(e, ERR_CONFLICT, "remove %s: a file system is mounted here", path);
    top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0)
        return err_sys(e, errno, "remove %s", path);
    r = (struct removal){ .top_fd = top };
    do {
        int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        r.moved = false;
        if (fd < 0)
            return err_sys(e, errno, "remove %s", path);
        if (empty_dir(&r, fd, 0, e))
            return err_wrap(e, "remove %s", path);
    } while (r.moved);
    if (rmdir(path) && errno != ENOENT)
        return err_sys(e, errno, "remove %s", path);
    return 0;
}
