#include "server/ca/bootstrap.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 256 * 1024, NEWER_US = 3 * 1000000 };

static const struct {
    const char *field, *path;
    bool optional;
} FILES[] = {
    { "ServerCA", "tls/server-ca.crt", false },
    { "ServerCAKey", "tls/server-ca.key", false },
    { "ClientCA", "tls/client-ca.crt", false },
    { "ClientCAKey", "tls/client-ca.key", false },
    { "RequestHeaderCA", "tls/request-header-ca.crt", false },
    { "RequestHeaderCAKey", "tls/request-header-ca.key", false },
    { "ServiceKey", "tls/service.key", false },
    { "PasswdFile", "cred/passwd", false },
    { "IPSECKey", "cred/ipsec.psk", true },
    { "ETCDServerCA", "tls/etcd/server-ca.crt", true },
    { "ETCDServerCAKey", "tls/etcd/server-ca.key", true },
    { "ETCDPeerCA", "tls/etcd/peer-ca.crt", true },
    { "ETCDPeerCAKey", "tls/etcd/peer-ca.key", true },
    { "EncryptionConfig", "cred/encryption-config.json", true },
    { "EncryptionHash", "cred/encryption-state.json", true },
};

/* ---- reading the files ---- */

static int add_file(json_t *doc, size_t i, const char *server_dir, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", server_dir, FILES[i].path);
    auto_buf bytes = BUF_SECRET(FILE_MAX_BYTES), coded = BUF_SECRET(2 * FILE_MAX_BYTES);
    char stamp[TIME_TEXT_BYTES];
    struct stat st;

    if (FILES[i].optional && !file_exists(path))
        return 0;
    if (stat(path, &st))
        return err_sys(e, errno, "%s", path);
    if (file_read(path, FILE_MAX_BYTES, &bytes, e))
        return (int)e->code;
    if (base64_add(&coded, buf_str(&bytes)))
        return err_set(e, ERR_LIMIT, "%s is too large", path);
    time_text_us(stamp, (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000);
    json_object_set_new(doc, FILES[i].field,
                        json_pack("{s:s, s:s}", "Timestamp", stamp, "Content", buf_cstr(&coded)));
    return 0;
}

int bootstrap_read(struct buf *out, const char *server_dir, struct err *e)
{
    json_auto_t *doc = json_object();

    for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
        if (add_file(doc, i, server_dir, e))
            return err_wrap(e, "bootstrap data");
    if (json_write(out, doc) || buf_addc(out, '\n'))
        return err_set(e, ERR_LIMIT, "bootstrap data: more than %zu bytes", out->max);
    return 0;
}

/* ---- reading the document ---- */

static int parse(json_t **doc, struct str json, struct err *e)
{
    if (json_parse(doc, json, e))
        return err_wrap(e, "bootstrap data");
    if (!json_is_object(*doc))
        return err_set(e, ERR_INVALID, "bootstrap data is no JSON object");
    return 0;
}

/* Adds the content of one file; *there tells whether it has one. */
static int content(struct buf *out, int64_t *stamp_us, bool *there, const json_t *doc, size_t i,
                   struct err *e)
{
    const json_t *v = json_object_get(doc, FILES[i].field);
    const char *text = json_is_object(v) ? json_str_at(v, "Content", "") : json_string_value(v);

    *stamp_us = 0;
    *there = text && *text;
    if (!*there && !FILES[i].optional)
        return err_set(e, ERR_INVALID, "bootstrap data lacks %s", FILES[i].field);
    if (!*there)
        return 0;
    if (base64_decode(out, str_of(text), false) || !out->n)
        return err_set(e, ERR_INVALID, "bootstrap data: %s is no base64 of at most %d bytes",
                       FILES[i].field, FILE_MAX_BYTES);
    if (json_is_object(v) && !time_parse(stamp_us, str_of(json_str_at(v, "Timestamp", ""))))
        *stamp_us = 0; /* then it is of now */
    return 0;
}

static int check(const json_t *doc, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        auto_buf bytes = BUF_SECRET(FILE_MAX_BYTES);
        int64_t stamp_us;
        bool there;
        if (content(&bytes, &stamp_us, &there, doc, i, e))
            return (int)e->code;
    }
    return 0;
}

int bootstrap_check(struct str json, struct err *e)
{
    json_auto_t *doc = NULL;

    return parse(&doc, json, e) || check(doc, e) ? (int)e->code : 0;
}

/* ---- the disk and the document ---- */

static bool has_files(const char *server_dir, const char *folder)
{
    auto_free char *path = mem_printf("%s/%s", server_dir, folder);
    DIR *d = opendir(path);
    struct dirent *en;
    bool any = false;

    while (d && !any && (en = readdir(d)))
        any = en->d_type == DT_REG;
    if (d)
        closedir(d);
    return any;
}

/* *newer: it differs, and the disk's is the newer one. */
static int compare_file(const json_t *doc, size_t i, const char *server_dir, bool *same,
                        bool *newer, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", server_dir, FILES[i].path);
    auto_buf bytes = BUF_SECRET(FILE_MAX_BYTES), now = BUF_SECRET(FILE_MAX_BYTES);
    int64_t stamp_us, now_us;
    struct stat st;
    bool there;
    int rc = content(&bytes, &stamp_us, &there, doc, i, e);

    *same = true;
    *newer = false;
    if (rc || !there)
        return rc;
    if (stat(path, &st)) {
        *same = false;
        return errno == ENOENT ? 0 : err_sys(e, errno, "%s", path);
    }
    if (file_read(path, FILE_MAX_BYTES, &now, e))
        return (int)e->code;
    *same = str_eq(buf_str(&now), buf_str(&bytes));
    now_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    *newer = !*same && now.n && now_us >= stamp_us + NEWER_US;
    return 0;
}

static int compare(const json_t *doc, const char *server_dir, bool *same, struct err *e)
{
    auto_buf newer = BUF(160);

    *same = true;
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        bool one_same, one_newer;
        if (compare_file(doc, i, server_dir, &one_same, &one_newer, e))
            return (int)e->code;
        *same = *same && one_same;
        if (one_newer) /* a long list may be cut */
            err_ignore(buf_addf(&newer, "%s%s", newer.n ? ", " : "", FILES[i].path));
    }
    if (!newer.n)
        return 0;
    return err_set(e, ERR_CONFLICT,
                   "newer in %s than in the datastore: %s; restore them, or move tls and cred away "
                   "to take the datastore's",
                   server_dir, newer.p);
}

int bootstrap_compare(const char *server_dir, struct str json, bool *same, struct err *e)
{
    json_auto_t *doc = NULL;
    bool is_same = false;

    if (parse(&doc, json, e) || check(doc, e))
        return (int)e->code;
    if (has_files(server_dir, "cred") && has_files(server_dir, "tls") &&
        has_files(server_dir, "tls/etcd") && compare(doc, server_dir, &is_same, e))
        return (int)e->code;
    *same = is_same;
    return 0;
}

static int write_file(const json_t *doc, size_t i, const char *server_dir, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", server_dir, FILES[i].path);
    auto_buf bytes = BUF_SECRET(FILE_MAX_BYTES);
    int64_t stamp_us;
    bool there;
    int rc = content(&bytes, &stamp_us, &there, doc, i, e);

    if (rc || !there)
        return rc;
    if (file_mkdirs_for(path, 0700, e) || file_write_atomic(path, buf_str(&bytes), 0600, e))
        return (int)e->code;
    if (stamp_us > 0) {
        const struct timespec at = { stamp_us / 1000000, stamp_us % 1000000 * 1000 };
        const struct timespec times[] = { at, at };
        if (utimensat(AT_FDCWD, path, times, 0))
            return err_sys(e, errno, "%s", path);
    }
    return 0;
}

int bootstrap_write(const char *server_dir, struct str json, struct err *e)
{
    json_auto_t *doc = NULL;

    if (parse(&doc, json, e) || check(doc, e))
        return (int)e->code;
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
        if (write_file(doc, i, server_dir, e))
            return err_wrap(e, "bootstrap data");
    return 0;
}
