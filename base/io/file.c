#include "base/io/file.h"

#include "base/core/mem.h"
#include "base/core/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

int file_read(const char *path, size_t max_bytes, struct buf *out, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    auto_buf b = { .max = max_bytes, .secret = out->secret };
    struct stat st;
    ssize_t n;
    bool full;

    if (fd < 0)
        return err_sys(e, errno, "open %s", path);
    if (fstat(fd, &st))
        return err_sys(e, errno, "stat %s", path);
    if (S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "read %s: is a directory", path);
    for (;;) { /* until the end, not until st_size: /proc has files of size 0 */
        char block[8192];
        size_t room = MIN(sizeof block, max_bytes - b.n + 1); /* one more byte than allowed */

        n = read(fd, block, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "read %s", path);
        if (!n)
            break;
        full = buf_add(&b, block, (size_t)n) != 0;
        if (b.secret)
            explicit_bzero(block, sizeof block);
        if (full)
            return err_set(e, ERR_LIMIT, "read %s: more than %zu bytes", path, max_bytes);
    }
    if (buf_add(out, b.p, b.n))
        return err_set(e, ERR_LIMIT, "read %s: does not fit the buffer", path);
    return 0;
}

/* ---- writing ---- */

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_strdup(".");
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int sync_dir(const char *path, struct err *e)
{
    auto_free char *dir = dir_of(path);
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd))
        return err_sys(e, errno, "sync directory %s", dir);
    return 0;
}

static char *temp_name(const char *path)
{
    char hex[17];

    rand_hex(hex, 8);
    return mem_printf("%s.tmp-%s", path, hex);
}

static int write_all(int fd, struct str bytes, struct err *e)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "write");
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return 0;
}

/* A complete, synced file beside path; *temp is its name. */
static int write_temp(char **temp, const char *path, struct str bytes, mode_t mode, struct err *e)
{
    auto_free char *name = temp_name(path);
    auto_close int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return err_sys(e, errno, "create");
    r = write_all(fd, bytes, e);
    if (!r && fchmod(fd, mode))
        r = err_sys(e, errno, "set mode");
    if (!r && fsync(fd))
        r = err_sys(e, errno, "sync");
    if (r) {
        unlink(name);
        return r;
    }
    *temp = STEAL(name);
    return 0;
}

int file_write_atomic(const char *path, struct str bytes, mode_t mode, struct err *e)
{
    auto_free char *temp = NULL;

    if (write_temp(&temp, path, bytes, mode, e))
        return err_wrap(e, "write %s", path);
    if (rename(temp, path)) {
        err_sys(e, errno, "rename");
        unlink(temp);
        return err_wrap(e, "write %s", path);
    }
    return sync_dir(path, e) ? err_wrap(e, "write %s", path) : 0;
}

int file_write_new(const char *path, struct str bytes, mode_t mode, struct err *e)
{
    auto_free char *temp = NULL;
    int r = 0;

    if (write_temp(&temp, path, bytes, mode, e))
        return err_wrap(e, "write %s", path);
    if (link(temp, path)) /* unlike rename it does not replace */
        r = err_sys(e, errno, "link");
    unlink(temp);
    if (r || sync_dir(path, e))
        return err_wrap(e, "write %s", path);
    return 0;
}

int file_write_if_changed(const char *path, struct str bytes, mode_t mode, bool *changed,
                          struct err *e)
{
    auto_buf old = { .max = bytes.n, .secret = true };
    struct err ignored;
    struct stat st;
    bool same = !stat(path, &st) && (st.st_mode & 07777) == mode && (size_t)st.st_size == bytes.n &&
                !file_read(path, bytes.n, &old, &ignored) && str_eq(buf_str(&old), bytes);

    if (!same && file_write_atomic(path, bytes, mode, e))
        return e->code;
    if (changed)
        *changed = !same;
    return 0;
}

int file_symlink_atomic(const char *target, const char *link_path, struct err *e)
{
    auto_free char *temp = temp_name(link_path);

    if (symlink(target, temp))
        return err_sys(e, errno, "link %s", link_path);
    if (rename(temp, link_path)) {
        err_sys(e, errno, "link %s", link_path);
        unlink(temp);
        return e->code;
    }
    return sync_dir(link_path, e);
}

/* ---- directories ---- */

static int make_dir(const char *path, mode_t mode, struct err *e)
{
    struct stat st;

    if (!mkdir(path, mode)) {
        if (chmod(path, mode)) /* the umask took part */
            return err_sys(e, errno, "set mode of %s", path);
        return 0;
    }
    if (errno != EEXIST)
        return err_sys(e, errno, "make directory %s", path);
    if (stat(path, &st))
        return err_sys(e, errno, "stat %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "make directory %s: something else is there", path);
    return 0;
}

int file_mkdirs(const char *path, mode_t mode, struct err *e)
{
    auto_free char *part = mem_strdup(path);
    struct stat st;

    if (!*path)
        return err_set(e, ERR_INVALID, "make directory: empty path");
    if (!stat(path, &st) && S_ISDIR(st.st_mode))
        return 0;
    for (char *p = part + 1; *p; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        if (make_dir(part, mode, e))
            return e->code;
        *p = '/';
    }
    return make_dir(part, mode, e);
}

int file_mkdirs_for(const char *path, mode_t mode, struct err *e)
{
    auto_free char *dir = dir_of(path);

    return file_mkdirs(dir, mode, e);
}

/* ---- looking ---- */

int file_absolute(char **out, const char *path, struct err *e)
{
    auto_free char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);

    if (*path == '/')
        *out = mem_strdup(path);
    else if (cwd)
        *out = mem_printf("%s/%s", cwd, path);
    else
        return err_sys(e, errno, "the working directory of %s", path);
    return 0;
}

bool file_exists(const char *path)
{
    struct stat st;

    return !stat(path, &st);
}

bool file_is_dir(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int file_check_private(const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st))
        return err_sys(e, errno, "stat %s", path);
    if (st.st_mode & 077)
        return err_set(e, ERR_DENIED, "%s: mode is %04o, others than its owner have access", path,
                       st.st_mode & 07777);
    return 0;
}

int file_remove(const char *path, struct err *e)
{
    if (remove(path) && errno != ENOENT)
        return err_sys(e, errno, "remove %s", path);
    return 0;
}
