#include "base/data/zip.h"

#include "base/core/buf.h"
#include "base/core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum {
    SIG_LOCAL = 0x04034b50,
    SIG_DIR = 0x02014b50,
    SIG_END = 0x06054b50,
    LOCAL_BYTES = 30,
    DIR_BYTES = 46,
    END_BYTES = 22,
    STORED = 0,
    DEFLATED = 8,
    CHUNK = 64 * 1024,
    DIR_MAX = 64 * 1024,
};

/* ---- numbers ---- */

static uint32_t get_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}
static uint16_t get_u16(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint16_t)(u[0] | u[1] << 8);
}
static void put_u32(struct buf *b, uint64_t v)
{
    char c[4] = { (char)v, (char)(v >> 8), (char)(v >> 16), (char)(v >> 24) };

    err_ignore(buf_add(b, c, sizeof c)); /* heads have a fixed size below their buffer's */
}
static void put_u16(struct buf *b, uint32_t v)
{
    char c[2] = { (char)v, (char)(v >> 8) };

    err_ignore(buf_add(b, c, sizeof c));
}

/* ---- the format ---- */

static int no_zip(struct err *e, const char *why)
{
    return err_set(e, ERR_INVALID, "no zip archive of ours: %s", why);
}

int zip_parse_tail(struct zip_entry *out, struct str tail, uint64_t n_bytes, struct err *e)
{
    for (size_t left = END_BYTES; left <= tail.n; left++) {
        const char *p = tail.p + tail.n - left;
        uint64_t end_at = n_bytes - left;
        if (get_u32(p) != SIG_END || get_u16(p + 20) != left - END_BYTES)
            continue;
        *out = (struct zip_entry){ .packed_bytes = get_u32(p + 12), .at = get_u32(p + 16) };
        if (!get_u16(p + 10) || out->packed_bytes > DIR_MAX || out->at > end_at ||
            out->packed_bytes > end_at - out->at)
            return no_zip(e, "its directory lies outside");
        return 0;
    }
    return no_zip(e, "its end is missing");
}

int zip_parse_dir(struct zip_entry *out, struct str *name, struct str dir, struct err *e)
{
    if (dir.n < DIR_BYTES || get_u32(dir.p) != SIG_DIR || dir.n - DIR_BYTES < get_u16(dir.p + 28))
        return no_zip(e, "its directory is damaged");
    *out = (struct zip_entry){ .method = get_u16(dir.p + 10),
                               .crc = get_u32(dir.p + 16),
                               .packed_bytes = get_u32(dir.p + 20),
                               .bytes = get_u32(dir.p + 24),
                               .at = get_u32(dir.p + 42) };
    *name = str_n(dir.p + DIR_BYTES, get_u16(dir.p + 28));
    if (get_u16(dir.p + 8) & 1)
        return no_zip(e, "it is encrypted");
    if (out->method != STORED && out->method != DEFLATED)
        return no_zip(e, "it is packed by a method that is not deflate");
    if (out->bytes == UINT32_MAX || out->packed_bytes == UINT32_MAX || out->at == UINT32_MAX)
        return no_zip(e, "it is larger than 4 GiB");
    if (out->method == STORED && out->bytes != out->packed_bytes)
        return no_zip(e, "its sizes contradict each other");
    return 0;
}

int zip_parse_local(uint32_t *skip, struct str head, struct err *e)
{
    if (head.n < LOCAL_BYTES || get_u32(head.p) != SIG_LOCAL)
        return no_zip(e, "its first file is damaged");
    *skip = (uint32_t)get_u16(head.p + 26) + get_u16(head.p + 28);
    return 0;
}

/* ---- packing ---- */

struct packer {
    FILE *in, *out;
    z_stream z;
    uint32_t crc;
    uint64_t n_in, n_out;
    const char *zip_path, *file_path;
    char from[CHUNK], to[CHUNK];
};

static int put(struct packer *p, const void *bytes, size_t n, struct err *e)
{
    if (fwrite(bytes, 1, n, p->out) != n)
        return err_sys(e, errno, "write %s", p->zip_path);
    return 0;
}

static int pack_chunk(struct packer *p, size_t n, bool last, struct err *e)
{
    p->crc = (uint32_t)crc32(p->crc, (const Bytef *)p->from, (uInt)n);
    p->n_in += n;
    p->z.next_in = (Bytef *)p->from;
    p->z.avail_in = (uInt)n;
    do {
        p->z.next_out = (Bytef *)p->to;
        p->z.avail_out = CHUNK;
        deflate(&p->z, last ? Z_FINISH : Z_NO_FLUSH); /* cannot fail with these arguments */
        size_t made = CHUNK - p->z.avail_out;
        p->n_out += made;
        if (made && put(p, p->to, made, e))
            return (int)e->code;
    } while (p->z.avail_out == 0);
    return 0;
}

static int pack_data(struct packer *p, struct err *e)
{
    bool last = false;

    /* -15: raw deflate, as archives have it */
    if (deflateInit2(&p->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_set(e, ERR_LIMIT, "no memory to compress %s", p->file_path);
    while (!last && !e->code) {
        size_t n = fread(p->from, 1, CHUNK, p->in);
        last = n < CHUNK;
        if (last && ferror(p->in))
            err_sys(e, errno, "read %s", p->file_path);
        else if (!pack_chunk(p, n, last, e) && p->n_in >= UINT32_MAX)
            err_set(e, ERR_LIMIT, "%s is larger than 4 GiB", p->file_path);
    }
    deflateEnd(&p->z);
    return (int)e->code;
}

/* What local header and directory have in common, from "version needed" to "extra field". */
static void put_common(struct buf *b, const struct packer *p, size_t n_name, int64_t mtime_unix_s)
{
    time_t at = (time_t)MAX(mtime_unix_s, (int64_t)315532800); /* 1980: archives begin there */
    struct tm t;

    gmtime_r(&at, &t);
    put_u16(b, 20); /* version */
    put_u16(b, 0);  /* flags */
    put_u16(b, DEFLATED);
    put_u16(b, (uint32_t)(t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec / 2));
    put_u16(b, (uint32_t)((t.tm_year - 80) << 9 | (t.tm_mon + 1) << 5 | t.tm_mday));
    put_u32(b, p->crc);
    put_u32(b, p->n_out);
    put_u32(b, p->n_in);
    put_u16(b, (uint32_t)n_name);
    put_u16(b, 0);
}

static int pack(struct packer *p, const char *name, int64_t mtime_unix_s, struct err *e)
{
    auto_buf local = BUF(4096), dir = BUF(4096);
    size_t n_name = strlen(name);

    if (n_name > 1024)
        return err_set(e, ERR_INVALID, "a name of %zu bytes for an archive", n_name);
    if (fseek(p->out, (long)(LOCAL_BYTES + n_name), SEEK_SET) || pack_data(p, e))
        return e->code ? (int)e->code : err_sys(e, errno, "write %s", p->zip_path);
    put_u32(&local, SIG_LOCAL);
    put_common(&local, p, n_name, mtime_unix_s);
    err_ignore(buf_adds(&local, name));
    put_u32(&dir, SIG_DIR);
    put_u16(&dir, 3 << 8 | 20); /* made on Unix */
    put_common(&dir, p, n_name, mtime_unix_s);
    put_u16(&dir, 0); /* comment */
    put_u16(&dir, 0); /* disk */
    put_u16(&dir, 0);
    put_u32(&dir, (uint64_t)(S_IFREG | 0600) << 16);
    put_u32(&dir, 0); /* where: at the start */
    err_ignore(buf_adds(&dir, name));
    size_t n_dir = dir.n;
    put_u32(&dir, SIG_END);
    put_u32(&dir, 0); /* disks */
    put_u16(&dir, 1);
    put_u16(&dir, 1);
    put_u32(&dir, n_dir);
    put_u32(&dir, local.n + p->n_out);
    put_u16(&dir, 0);
    if (put(p, dir.p, dir.n, e))
        return (int)e->code;
    if (fseek(p->out, 0, SEEK_SET) || fwrite(local.p, 1, local.n, p->out) != local.n ||
        fflush(p->out) || fsync(fileno(p->out)))
        return err_sys(e, errno, "write %s", p->zip_path);
    return 0;
}

static FILE *open_new(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        err_sys(e, errno, "open %s", path);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

int zip_pack(const char *zip_path, const char *file_path, const char *name, int64_t mtime_unix_s,
             struct err *e)
{
    struct packer *p = mem_alloc(sizeof *p);
    struct err why = { 0 };

    p->zip_path = zip_path;
    p->file_path = file_path;
    p->in = fopen(file_path, "re");
    if (!p->in)
        err_sys(&why, errno, "open %s", file_path);
    else if ((p->out = open_new(zip_path, &why)))
        err_ignore(pack(p, name, mtime_unix_s, &why)); /* in why */
    if (p->in)
        fclose(p->in);
    if (p->out) {
        if (fclose(p->out) && !why.code)
            err_sys(&why, errno, "write %s", zip_path);
        if (why.code)
            unlink(zip_path);
    }
    free(p);
    if (why.code)
        *e = why;
    return (int)why.code;
}

/* ---- unpacking ---- */

static int read_at(int fd, char *p, size_t n, uint64_t at, struct err *e)
{
    while (n) {
        ssize_t got = pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, errno, "read the archive");
        if (got == 0)
            return no_zip(e, "it is cut short");
        p += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return 0;
}

/* Where the packed bytes begin. */
static int find(struct zip_entry *out, uint64_t *at, int fd, struct err *e)
{
    struct stat st;
    struct str name;
    uint32_t skip;
    char head[LOCAL_BYTES];

    if (fstat(fd, &st))
        return err_sys(e, errno, "archive");
    uint64_t n_bytes = (uint64_t)st.st_size, n_tail = MIN(n_bytes, (uint64_t)ZIP_TAIL_MAX);
    auto_free char *tail = mem_alloc(n_tail + 1);
    if (read_at(fd, tail, n_tail, n_bytes - n_tail, e) ||
        zip_parse_tail(out, str_n(tail, n_tail), n_bytes, e))
        return (int)e->code;
    size_t n_dir = (size_t)out->packed_bytes;
    auto_free char *dir = mem_alloc(n_dir + 1);
    if (read_at(fd, dir, n_dir, out->at, e) || zip_parse_dir(out, &name, str_n(dir, n_dir), e) ||
        read_at(fd, head, sizeof head, out->at, e) ||
        zip_parse_local(&skip, str_n(head, sizeof head), e))
        return (int)e->code;
    *at = out->at + LOCAL_BYTES + skip;
    return 0;
}

struct unpacker {
    int fd;
    FILE *out;
    uint64_t at, left; /* packed */
    uint64_t n_out;
    uint32_t crc;
    const struct zip_entry *entry;
    char from[CHUNK], to[CHUNK];
};

static int next_chunk(struct unpacker *u, size_t *n, struct err *e)
{
    *n = (size_t)MIN(u->left, (uint64_t)CHUNK);
    if (read_at(u->fd, u->from, *n, u->at, e))
        return (int)e->code;
    u->at += *n;
    u->left -= *n;
    return 0;
}

static int give(struct unpacker *u, const char *p, size_t n, struct err *e)
{
    u->n_out += n;
    if (u->n_out > u->entry->bytes)
        return no_zip(e, "there is more in it than it says");
    u->crc = (uint32_t)crc32(u->crc, (const Bytef *)p, (uInt)n);
    if (fwrite(p, 1, n, u->out) != n)
        return err_sys(e, errno, "write what is unpacked");
    return 0;
}

static int copy_stored(struct unpacker *u, struct err *e)
{
    size_t n;

    while (u->left)
        if (next_chunk(u, &n, e) || give(u, u->from, n, e))
            return (int)e->code;
    return 0;
}

static int inflate_all(struct unpacker *u, z_stream *z, struct err *e)
{
    int rc = Z_OK;
    size_t n;

    while (rc != Z_STREAM_END) {
        if (!z->avail_in) {
            if (!u->left)
                return no_zip(e, "it is cut short");
            if (next_chunk(u, &n, e))
                return (int)e->code;
            z->next_in = (Bytef *)u->from;
            z->avail_in = (uInt)n;
        }
        z->next_out = (Bytef *)u->to;
        z->avail_out = CHUNK;
        rc = inflate(z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return no_zip(e, "what is packed in it is damaged");
        if (give(u, u->to, CHUNK - z->avail_out, e))
            return (int)e->code;
    }
    return 0;
}

static int unpack(struct unpacker *u, struct err *e)
{
    z_stream z = { 0 };
    int rc;

    if (u->entry->method == STORED) {
        rc = copy_stored(u, e);
    } else {
        if (inflateInit2(&z, -15) != Z_OK)
            return err_set(e, ERR_LIMIT, "no memory to unpack");
        rc = inflate_all(u, &z, e);
        inflateEnd(&z);
    }
    if (rc)
        return rc;
    if (u->n_out != u->entry->bytes || u->crc != u->entry->crc)
        return no_zip(e, "its checksum is wrong");
    if (fflush(u->out) || fsync(fileno(u->out)))
        return err_sys(e, errno, "write what is unpacked");
    return 0;
}

int zip_unpack(const char *zip_path, const char *file_path, uint64_t max_bytes, struct err *e)
{
    auto_close int fd = open(zip_path, O_RDONLY | O_CLOEXEC);
    auto_free struct unpacker *u = mem_alloc(sizeof *u);
    struct zip_entry entry = { 0 };
    int rc;

    if (fd < 0)
        return err_sys(e, errno, "open %s", zip_path);
    u->fd = fd;
    u->entry = &entry;
    if (find(&entry, &u->at, fd, e))
        return err_wrap(e, "%s", zip_path);
    if (entry.bytes > max_bytes)
        return err_set(e, ERR_LIMIT, "%s: %llu bytes are in it, at most %llu", zip_path,
                       (unsigned long long)entry.bytes, (unsigned long long)max_bytes);
    u->left = entry.packed_bytes;
    u->out = open_new(file_path, e);
    if (!u->out)
        return (int)e->code;
    rc = unpack(u, e);
    if (fclose(u->out) && !rc)
        rc = err_sys(e, errno, "write %s", file_path);
    if (!rc)
        return 0;
    unlink(file_path);
    return err_wrap(e, "%s", zip_path);
}

bool zip_is(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char head[4];

    return fd >= 0 && read(fd, head, sizeof head) == sizeof head && get_u32(head) == SIG_LOCAL;
}
