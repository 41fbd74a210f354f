#include "server/boot/snapshot_dir.h"

#include "base/core/mem.h"
#include "base/data/zip.h"
#include "base/io/file.h"
#include "server/store/snapshot.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART ".part"

/* ---- lists ---- */

void snapshot_files_add(struct snapshot_files *l, const char *name, int64_t created_unix_s,
                        uint64_t size_bytes)
{
    l->v = mem_realloc(l->v, (l->n + 1) * sizeof *l->v);
    l->v[l->n++] = (struct snapshot_file){ mem_strdup(name), created_unix_s, size_bytes };
}

void snapshot_files_free(struct snapshot_files *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].name);
    free(l->v);
    *l = (struct snapshot_files){ 0 };
}

/* ---- names ---- */

static bool is_name(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            return false;
    return *s && *s != '.';
}

int snapshot_dir_name(char out[SNAPSHOT_NAME_MAX], const char *base, const char *node,
                      int64_t unix_s, bool compressed, struct err *e)
{
    int n;

    if (!is_name(base))
        return err_set(e, ERR_INVALID,
                       "\"%s\" is no name of a snapshot: letters, digits, '.', '_', '-'", base);
    n = snprintf(out, SNAPSHOT_NAME_MAX, "%s-%s-%lld%s", base, node, (long long)unix_s,
                 compressed ? ".zip" : "");
    if (n >= 250) /* a file's name has 255 characters, and a part's is longer */
        return err_set(e, ERR_INVALID, "the snapshot's name \"%s\" is too long", base);
    return 0;
}

/* Takes the number off: false, it is no snapshot's name. */
static bool name_parse(int64_t *created_unix_s, size_t *n_stem, const char *name)
{
    struct str s = str_of(name);
    size_t digits = 0;
    int64_t t = 0;

    if (!is_name(name))
        return false;
    if (str_ends(s, STR(".zip")))
        s.n -= 4;
    while (digits < s.n && isdigit((unsigned char)s.p[s.n - 1 - digits]))
        digits++;
    if (digits < 1 || digits > 12 || digits + 2 > s.n || s.p[s.n - 1 - digits] != '-')
        return false;
    for (size_t i = s.n - digits; i < s.n; i++)
        t = 10 * t + (s.p[i] - '0');
    *created_unix_s = t;
    *n_stem = s.n - digits - 1;
    return true;
}

char *snapshot_dir_part(const char *dir, const char *name)
{
    return mem_printf("%s/.%s" PART, dir, name);
}

/* ---- making ---- */

static int sync_dir(const char *dir, struct err *e)
{
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd))
        return err_sys(e, errno, "sync %s", dir);
    return 0;
}

int snapshot_dir_prepare(const char *dir, struct err *e)
{
    struct dirent *en;
    DIR *d;

    if (file_mkdirs(dir, 0700, e))
        return err_wrap(e, "folder of snapshots");
    d = opendir(dir);
    if (!d)
        return err_sys(e, errno, "folder of snapshots %s", dir);
    while ((en = readdir(d)))
        if (en->d_name[0] == '.' && strstr(en->d_name, PART)) /* with SQLite's -journal behind it */
            unlinkat(dirfd(d), en->d_name, 0);
    closedir(d);
    return 0;
}

static int take(const char *part, const char *zip, const char *path, const char *name,
                const struct snapshot_facts *facts, struct err *e)
{
    bool compressed = str_ends(str_of(name), STR(".zip"));

    if (snapshot_finish(part, facts, e))
        return (int)e->code;
    if (compressed) {
        auto_free char *inner = mem_strndup(name, strlen(name) - 4);
        if (zip_pack(zip, part, inner, facts->created_unix_s, e))
            return (int)e->code;
    }
    if (file_exists(path))
        return err_set(e, ERR_EXISTS, "%s exists already", path);
    if (chmod(compressed ? zip : part, 0600) || rename(compressed ? zip : part, path))
        return err_sys(e, errno, "make %s", path);
    return 0;
}

int snapshot_dir_take(const char *dir, const char *name, const struct snapshot_facts *facts,
                      struct err *e)
{
    auto_free char *part = snapshot_dir_part(dir, name), *zip = mem_printf("%s.zip", part);
    auto_free char *path = mem_printf("%s/%s", dir, name);
    int rc = take(part, zip, path, name, facts, e);

    unlink(part); /* gone already when it became the snapshot itself */
    unlink(zip);
    return rc ? err_wrap(e, "snapshot %s", name) : sync_dir(dir, e);
}

/* ---- which there are ---- */

static int by_age(const void *a, const void *b)
{
    const struct snapshot_file *x = a, *y = b;
    int c = (x->created_unix_s > y->created_unix_s) - (x->created_unix_s < y->created_unix_s);

    return c ? c : strcmp(x->name, y->name);
}

int snapshot_dir_list(struct snapshot_files *out, const char *dir, struct err *e)
{
    DIR *d = opendir(dir);
    struct dirent *en;

    *out = (struct snapshot_files){ 0 };
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_sys(e, errno, "folder of snapshots %s", dir);
    while ((en = readdir(d))) {
        int64_t created;
        size_t n_stem;
        struct stat st;
        if (name_parse(&created, &n_stem, en->d_name) &&
            !fstatat(dirfd(d), en->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
            snapshot_files_add(out, en->d_name, created, (uint64_t)st.st_size);
    }
    closedir(d);
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_age);
    return 0;
}

static int remove_one(struct snapshot_files *gone, const char *dir, const struct snapshot_file *f,
                      struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", dir, f->name);

    if (unlink(path))
        return err_sys(e, errno, "remove %s", path);
    snapshot_files_add(gone, f->name, f->created_unix_s, f->size_bytes);
    return 0;
}

int snapshot_dir_prune(struct snapshot_files *gone, const char *dir, const char *base,
                       const char *node, size_t keep, struct err *e)
{
    auto_snapshot_files all = { 0 };
    auto_free char *stem = mem_printf("%s-%s", base, node);
    size_t n_kept = 0;

    if (!keep)
        return 0;
    if (snapshot_dir_list(&all, dir, e))
        return (int)e->code;
    for (size_t i = all.n; i-- > 0;) {
        int64_t created;
        size_t n_stem;
        if (!name_parse(&created, &n_stem, all.v[i].name) || n_stem != strlen(stem) ||
            strncmp(all.v[i].name, stem, n_stem) != 0 || n_kept++ < keep)
            continue;
        if (remove_one(gone, dir, &all.v[i], e))
            return (int)e->code;
    }
    return 0;
}

int snapshot_dir_delete(struct snapshot_files *gone, const char *dir, const char *name,
                        struct err *e)
{
    auto_snapshot_files all = { 0 };

    if (snapshot_dir_list(&all, dir, e))
        return (int)e->code;
    for (size_t i = 0; i < all.n; i++)
        if (strcmp(all.v[i].name, name) == 0)
            return remove_one(gone, dir, &all.v[i], e);
    return err_set(e, ERR_NOT_FOUND, "snapshot %s is not in %s", name, dir);
}
