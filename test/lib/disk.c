#include "test/lib/disk.h"

#include "base/core/mem.h"
#include "base/data/db_io.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { FILES_MAX = 8, SECTOR = 512 };

struct image {
    char *p;
    size_t n, cap;
};

struct file {
    char *path;
    struct image synced, now;
};

struct disk {
    pthread_mutex_t m;
    struct file files[FILES_MAX];
    size_t n_files;
    uint64_t random;
    unsigned n_syncs, cut_at;
    bool armed;
    _Atomic bool cut;
};

static uint64_t random_next(struct disk *d)
{
    d->random = d->random * 6364136223846793005u + 1442695040888963407u;
    return d->random >> 33;
}

static void image_resize(struct image *im, size_t n)
{
    if (n > im->cap) {
        im->cap = MAX(2 * im->cap, n);
        im->p = mem_realloc(im->p, im->cap);
    }
    if (n > im->n)
        memset(im->p + im->n, 0, n - im->n);
    im->n = n;
}

static void image_write(struct image *im, size_t at, struct str bytes)
{
    if (at + bytes.n > im->n)
        image_resize(im, at + bytes.n);
    if (bytes.n)
        memcpy(im->p + at, bytes.p, bytes.n);
}

static struct file *file_of(struct disk *d, const char *path)
{
    for (size_t i = 0; i < d->n_files; i++)
        if (strcmp(d->files[i].path, path) == 0)
            return &d->files[i];
    assert(d->n_files < FILES_MAX);
    d->files[d->n_files] = (struct file){ .path = mem_strdup(path) };
    return &d->files[d->n_files++];
}

static void load(struct file *f)
{
    FILE *in = fopen(f->path, "re");
    char block[65536];
    size_t n;

    while (in && (n = fread(block, 1, sizeof block, in)) > 0)
        image_write(&f->now, f->now.n, str_n(block, n));
    if (in)
        fclose(in);
    image_write(&f->synced, 0, str_n(f->now.p, f->now.n));
}

static int on_io(void *arg, const struct db_io_call *call)
{
    struct disk *d = arg;
    struct file *f;
    int rc = 0;

    pthread_mutex_lock(&d->m);
    f = file_of(d, call->path);
    if (call->op == DB_IO_SYNC && !d->cut && d->armed && d->n_syncs++ == d->cut_at)
        d->cut = true;
    if (d->cut) {
        rc = EIO;
    } else if (call->op == DB_IO_WRITE) {
        image_write(&f->now, (size_t)call->at, call->bytes);
    } else if (call->op == DB_IO_TRUNCATE) {
        image_resize(&f->now, (size_t)call->at);
    } else if (call->op == DB_IO_DELETE) {
        image_resize(&f->now, 0);
        image_resize(&f->synced, 0);
    } else {
        image_resize(&f->synced, 0);
        image_write(&f->synced, 0, str_n(f->now.p, f->now.n));
    }
    pthread_mutex_unlock(&d->m);
    return rc;
}

struct disk *disk_new(const char *dir, unsigned seed)
{
    struct disk *d = mem_alloc(sizeof *d);
    DIR *in = opendir(dir);
    struct dirent *en;

    while (in && (en = readdir(in)))
        if (en->d_type == DT_REG) {
            auto_free char *path = mem_printf("%s/%s", dir, en->d_name);
            load(file_of(d, path));
        }
    if (in)
        closedir(in);

    pthread_mutex_init(&d->m, NULL);
    d->random = seed;
    random_next(d);
    db_io_gate_set(on_io, d);
    return d;
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    db_io_gate_set(NULL, NULL);
    for (size_t i = 0; i < d->n_files; i++) {
        free(d->files[i].path);
        free(d->files[i].synced.p);
        free(d->files[i].now.p);
    }
    pthread_mutex_destroy(&d->m);
    free(d);
}

void disk_cut_at(struct disk *d, unsigned n_syncs)
{
    pthread_mutex_lock(&d->m);
    d->n_syncs = 0;
    d->cut_at = n_syncs;
    d->armed = true;
    pthread_mutex_unlock(&d->m);
}

bool disk_is_cut(const struct disk *d)
{
    return d->cut;
}

unsigned disk_n_syncs(const struct disk *d)
{
    return d->n_syncs;
}

/* Of each sector that was written and not synced, one or the other. */
static void mix(struct disk *d, struct file *f, struct image *out)
{
    static const unsigned chances[] = { 0, 10, 50, 90, 100 };
    unsigned percent = chances[random_next(d) % ARRAY_LEN(chances)];
    size_t n = MAX(f->synced.n, f->now.n);

    image_resize(out, 0);
    for (size_t at = 0; at < n; at += SECTOR) {
        bool is_new = random_next(d) % 100 < percent;
        const struct image *from = is_new ? &f->now : &f->synced;
        if (at < from->n)
            image_write(out, at, str_n(from->p + at, MIN((size_t)SECTOR, from->n - at)));
    }
    /* a size is written like a sector */
    if (out->n > f->now.n && random_next(d) % 100 < percent)
        image_resize(out, f->now.n);
}

void disk_salvage(struct disk *d, const char *dir)
{
    struct image out = { 0 };

    pthread_mutex_lock(&d->m);
    for (size_t i = 0; i < d->n_files; i++) {
        struct file *f = &d->files[i];
        const char *name = strrchr(f->path, '/');
        auto_free char *path = mem_printf("%s%s", dir, name ? name : f->path);
        int fd;
        mix(d, f, &out);
        if (!out.n && !f->synced.n)
            continue;
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, out.p, out.n) != (ssize_t)out.n)
            abort();
        close(fd);
    }
    free(out.p);
    pthread_mutex_unlock(&d->m);
}
