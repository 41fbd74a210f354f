#include "base/pki/pemfile.h"

#include "base/core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int pemfile_read(struct buf *out, const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n_before = out->n;
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        return err_sys(e, errno, "open %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INVALID, "%s is not a regular file", path);
    for (;;) {
        char piece[4096];
        ssize_t got = read(fd, piece, sizeof piece);
        int r = got > 0 ? buf_add(out, piece, (size_t)got) : 0;

        if (got >= 0)
            explicit_bzero(piece, (size_t)got); /* it may hold a key */
        if (got < 0 && errno == EINTR)
            continue;
        if (got > 0 && !r)
            continue;
        if (got == 0)
            return 0;
        out->n = n_before; /* all or nothing */
        if (out->p)
            out->p[out->n] = '\0';
        if (r)
            return err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", path, out->max);
        return err_sys(e, errno, "read %s", path);
    }
}

static int write_all(int fd, struct str s, bool durable)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        s.p += n;
        s.n -= (size_t)n;
    }
    return durable && fsync(fd) ? errno : 0;
}

static int sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    auto_free char *folder =
        slash ? mem_strndup(path, (size_t)(slash - path + 1)) : mem_strdup(".");
    auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || (fsync(fd) && errno != EINVAL) ? errno : 0; /* some filesystems cannot */
}

static int replace(const char *path, struct str bytes, mode_t mode, bool durable, struct err *e)
{
    auto_free char *tmp = mem_printf("%s.tmp", path);
    auto_close int fd = -1;
    int sys;

    unlink(tmp); /* of a crash; its mode may be another */
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_sys(e, errno, "create %s", tmp);
    sys = fchmod(fd, mode) ? errno : write_all(fd, bytes, durable); /* whatever the umask says */
    if (!sys && rename(tmp, path))
        sys = errno;
    if (sys) {
        unlink(tmp);
        return err_sys(e, sys, "write %s", path);
    }
    sys = durable ? sync_folder_of(path) : 0;
    return sys ? err_sys(e, sys, "sync the folder of %s", path) : 0;
}

int pemfile_write(const char *path, struct str bytes, mode_t mode, struct err *e)
{
    return replace(path, bytes, mode, true, e);
}

int pemfile_write_lazy(const char *path, struct str bytes, mode_t mode, struct err *e)
{
    return replace(path, bytes, mode, false, e);
}

int pemfile_sync(const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd))
        return err_sys(e, errno, "sync %s", path);
    return 0;
}

int pemfile_mkdir(const char *path, mode_t mode, struct err *e)
{
    auto_free char *p = mem_strdup(path);
    struct stat st;

    for (char *at = p + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(p, 0755) && errno != EEXIST)
            return err_sys(e, errno, "make folder %s", p);
        *at = '/';
    }
    if (mkdir(p, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return err_sys(e, errno, "make folder %s", path);
    if (stat(p, &st) || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "%s is in the way: it is not a folder", path);
    return 0;
}
