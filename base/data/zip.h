#pragma once
/*
 * Zip: an archive of one deflated file (PKWARE APPNOTE 6.3), what `unzip` and other tools read.
 * Files of up to 4 GiB. The calls block; any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <stdint.h>

/* Makes zip_path, which must not exist, of file_path; name: what the file is called in it. The
 * archive is synced. Nothing is left behind on failure. */
MUST_USE int zip_pack(const char *zip_path, const char *file_path, const char *name,
                      int64_t mtime_unix_s, struct err *e);

/* The first file of zip_path as file_path, which must not exist. ERR_INVALID: no archive, or one
 * that is damaged; the text says what. ERR_LIMIT: larger than max_bytes. Nothing is left behind on
 * failure. */
MUST_USE int zip_unpack(const char *zip_path, const char *file_path, uint64_t max_bytes,
                        struct err *e);

bool zip_is(const char *path); /* begins like an archive */

/* ---- the format, without I/O ---- */
struct zip_entry {
    uint16_t method; /* 0 stored, 8 deflated */
    uint32_t crc;
    uint64_t packed_bytes, bytes;
    uint64_t at; /* of its local header */
};
#define ZIP_TAIL_MAX  (22 + 65535)
#define ZIP_LOCAL_MAX 30
/* tail: the last bytes of an archive of n_bytes, ZIP_TAIL_MAX of them or all. Where its directory
 * lies, in out->at and out->packed_bytes. */
MUST_USE int zip_parse_tail(struct zip_entry *out, struct str tail, uint64_t n_bytes,
                            struct err *e);
/* The first entry of a directory; name lies in dir. */
MUST_USE int zip_parse_dir(struct zip_entry *out, struct str *name, struct str dir, struct err *e);
/* head: the 30 bytes at entry->at. How many bytes lie between them and the packed ones. */
MUST_USE int zip_parse_local(uint32_t *skip, struct str head, struct err *e);
