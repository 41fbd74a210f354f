#include "server/boot/restore.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/zip.h"
#include "base/io/file.h"
#include "base/pki/seal.h"
#include "base/pki/token.h"
#include "server/boot/datastore.h"
#include "server/ca/bootstrap.h"
#include "server/store/snapshot.h"
#include "server/store/sqlite_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOT_MAX_BYTES ((uint64_t)64 << 30)

struct restore {
    const char *source; /* the snapshot */
    char *server_dir, *db, *part, *flag, *cut;
    struct buf token, password, doc;
    int64_t now_s;
};

/* ---- what is needed ---- */

/* --token, --token-file, or what this server had. */
static int find_token(struct restore *r, const struct server_options *o, struct err *e)
{
    auto_free char *kept = mem_printf("%s/token", r->server_dir);
    const char *file = o->node.token_file ? o->node.token_file : kept;

    if (o->node.token) {
        if (buf_adds(&r->token, o->node.token))
            return err_set(e, ERR_LIMIT, "the token is too long");
    } else if (file_read(file, TOKEN_MAX_BYTES, &r->token, e)) {
        if (e->code != ERR_NOT_FOUND || o->node.token_file)
            return err_wrap(e, "token");
        return err_set(e, ERR_INVALID,
                       "the snapshot's keys are sealed with the cluster's token: give it with "
                       "--token or --token-file");
    }
    return token_password(str_trim(buf_str(&r->token)), &r->password, e) ? err_wrap(e, "token") : 0;
}

static int copy_file(const char *from, const char *to, struct err *e)
{
    auto_close int in = open(from, O_RDONLY | O_CLOEXEC);
    auto_close int out = -1;
    ssize_t n;

    if (in < 0)
        return err_sys(e, errno, "open %s", from);
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return err_sys(e, errno, "open %s", to);
    while ((n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
        ;
    if (n < 0 || fsync(out))
        return err_sys(e, errno, "copy %s to %s", from, to);
    return 0;
}

static int fetch(struct restore *r, struct err *e)
{
    if (file_mkdirs_for(r->part, 0700, e) || file_remove(r->part, e))
        return (int)e->code;
    return zip_is(r->source) ? zip_unpack(r->source, r->part, SNAPSHOT_MAX_BYTES, e)
                             : copy_file(r->source, r->part, e);
}

static int inspect(struct restore *r, struct snapshot_facts *facts, struct err *e)
{
    if (snapshot_read(facts, r->part, e))
        return err_wrap(e, "snapshot %s", r->source);
    if (seal_open(&r->doc, buf_str(&facts->sealed), buf_str(&r->password), e)) {
        if (e->code == ERR_DENIED)
            return err_set(e, ERR_DENIED,
                           "snapshot %s was made with another token: give the one that the cluster "
                           "had then",
                           r->source);
        return err_wrap(e, "snapshot %s", r->source);
    }
    return bootstrap_check(buf_str(&r->doc), e) ? err_wrap(e, "snapshot %s", r->source) : 0;
}

/* ---- doing it ---- */

/* Leaf certificates are made anew from the CAs; the old folder stays beside. */
static int place_identity(struct restore *r, struct err *e)
{
    auto_free char *tls = mem_printf("%s/tls", r->server_dir);
    auto_free char *aside = mem_printf("%s/tls-%lld", r->server_dir, (long long)r->now_s);

    if (file_exists(tls) && rename(tls, aside))
        return err_sys(e, errno, "rename %s to %s", tls, aside);
    return bootstrap_write(r->server_dir, buf_str(&r->doc), e);
}

static int apply(struct restore *r, struct err *e)
{
    auto_free char *aside = mem_printf("%s-old-%lld", r->db, (long long)r->now_s);
    auto_close int lock = -1;
    char flag[64];

    snprintf(flag, sizeof flag, "%lld\n", (long long)r->now_s);
    if (sqlite_lock(&lock, r->db, e) || file_write_atomic(r->cut, str_of(flag), 0600, e) ||
        place_identity(r, e) || snapshot_restore(r->part, r->db, aside, e) ||
        file_write_atomic(r->flag, str_of(flag), 0600, e))
        return (int)e->code;
    return file_remove(r->cut, e);
}

static int run(struct restore *r, const struct server_options *o, struct err *e)
{
    auto_facts facts = { 0 };

    if (!r->source || !*r->source)
        return err_set(e, ERR_INVALID,
                       "--cluster-reset alone resets the members of an embedded etcd, and this "
                       "server has none; name a snapshot with --cluster-reset-restore-path");
    if (file_exists(r->flag))
        return err_set(e, ERR_INVALID,
                       "a snapshot was restored already: start without --cluster-reset, or remove "
                       "%s to restore again",
                       r->flag);
    if (find_token(r, o, e) || fetch(r, e) || inspect(r, &facts, e) || apply(r, e))
        return (int)e->code;
    log_info("snapshot restored: start without --cluster-reset now", kv("snapshot", r->source),
             kv("made_on", facts.node), kv("revision", facts.rev), kv("objects", facts.n_objects));
    return 0;
}

static void restore_deinit(struct restore *r)
{
    struct err e;

    if (r->part)
        err_ignore(file_remove(r->part, &e)); /* it may never have been there */
    buf_deinit(&r->token);
    buf_deinit(&r->password);
    buf_deinit(&r->doc);
    free(r->server_dir);
    free(r->db);
    free(r->part);
    free(r->flag);
    free(r->cut);
}

static char *flag_path(const char *server_dir)
{
    return mem_printf("%s/db/reset-flag", server_dir);
}
static char *cut_path(const char *server_dir)
{
    return mem_printf("%s/db/.restore.cut", server_dir);
}

int restore_run(const struct server_options *o, struct err *e)
{
    struct restore r = { .source = o->cluster_reset_restore_path,
                         .token = BUF_SECRET(TOKEN_MAX_BYTES),
                         .password = BUF_SECRET(TOKEN_MAX_BYTES),
                         .doc = BUF_SECRET(BOOTSTRAP_MAX_BYTES),
                         .now_s = clock_wall_s() };
    int rc;

    if (datastore_is_shared(o))
        return err_set(e, ERR_INVALID,
                       "--cluster-reset restores a snapshot of SQLite; what --datastore-endpoint "
                       "names is restored with etcd's own tools");
    r.server_dir = mem_printf("%s/server", o->node.data_dir);
    r.db = mem_printf("%s/db/coracle.db", r.server_dir);
    r.part = mem_printf("%s/db/.restore.part", r.server_dir);
    r.flag = flag_path(r.server_dir);
    r.cut = cut_path(r.server_dir);
    rc = run(&r, o, e);
    restore_deinit(&r);
    return rc;
}

int restore_check(const struct server_options *o, const char *server_dir, struct err *e)
{
    auto_free char *flag = flag_path(server_dir), *cut = cut_path(server_dir);

    if (file_exists(cut))
        return err_set(
            e, ERR_INVALID,
            "a restore was cut off here: run it again (--cluster-reset "
            "--cluster-reset-restore-path=...), or remove %s to start with what there is",
            cut);
    if (o->cluster_reset_restore_path && *o->cluster_reset_restore_path)
        return err_set(e, ERR_INVALID, "--cluster-reset-restore-path needs --cluster-reset");
    return file_remove(flag, e);
}
