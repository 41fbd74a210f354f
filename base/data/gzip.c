#include "base/data/gzip.h"

#include "base/core/mem.h"

#include <assert.h>
#include <zlib.h>

#define ROOM_BYTES  (16 * 1024)
#define GZIP_WINDOW (15 + 16)  /* zlib's way to say "with a gzip head" */
#define LEVEL       1          /* responsewriters/writers.go, defaultGzipContentEncodingLevel */
#define INPUT_MAX   (1u << 30) /* of one call of zlib, which counts in 32 bits */

struct gzip {
    z_stream z;
};

static void *take(void *arg, unsigned n, unsigned bytes)
{
    (void)arg;
    return mem_calloc(n, bytes);
}

static void give(void *arg, void *p)
{
    (void)arg;
    free(p);
}

struct gzip *gzip_new(void)
{
    struct gzip *z = mem_alloc(sizeof *z);
    int rc;

    z->z.zalloc = take;
    z->z.zfree = give;
    rc = deflateInit2(&z->z, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    assert(rc == Z_OK); /* memory never fails, the arguments are constants */
    (void)rc;
    return z;
}

void gzip_free(struct gzip *z)
{
    if (!z)
        return;
    deflateEnd(&z->z);
    free(z);
}

int gzip_add(struct gzip *z, struct str piece, bool last, struct buf *out)
{
    do {
        struct str part = str_n(piece.p, MIN(piece.n, (size_t)INPUT_MAX));
        bool end = last && part.n == piece.n;
        int rc;

        piece = str_n(piece.p + part.n, piece.n - part.n);
        z->z.next_in = (Bytef *)part.p;
        z->z.avail_in = (uInt)part.n;
        do {
            if (buf_reserve(out, ROOM_BYTES))
                return ERR_LIMIT;
            z->z.next_out = (Bytef *)out->p + out->n;
            z->z.avail_out = ROOM_BYTES;
            rc = deflate(&z->z, end ? Z_FINISH : Z_NO_FLUSH);
            out->n += ROOM_BYTES - z->z.avail_out;
            out->p[out->n] = '\0';
        } while (z->z.avail_out == 0 || (end && rc == Z_OK));
    } while (piece.n);
    return 0;
}

int gzip_unpack(struct str packed, struct buf *out, struct err *e)
{
    z_stream z = { .zalloc = take, .zfree = give };
    int rc;

    if (packed.n > INPUT_MAX)
        return err_set(e, ERR_LIMIT, "unpack gzip: more than %u bytes", INPUT_MAX);
    rc = inflateInit2(&z, GZIP_WINDOW);
    assert(rc == Z_OK); /* as above */
    z.next_in = (Bytef *)packed.p;
    z.avail_in = (uInt)packed.n;
    do {
        size_t room = MIN(out->max - out->n, (size_t)ROOM_BYTES); /* none: the end may still come */
        if (buf_reserve(out, room))
            break;
        z.next_out = (Bytef *)out->p + out->n;
        z.avail_out = (uInt)room;
        rc = inflate(&z, Z_NO_FLUSH);
        out->n += room - z.avail_out;
        out->p[out->n] = '\0';
    } while (rc == Z_OK);
    inflateEnd(&z);
    if (rc != Z_STREAM_END && out->n == out->max)
        return err_set(e, ERR_LIMIT, "unpack gzip: more than %zu bytes come out", out->max);
    if (rc != Z_STREAM_END || z.avail_in)
        return err_set(e, ERR_INVALID, "unpack gzip: not one whole stream");
    return 0;
}
