#include "server/boot/identity.h"

#include "base/core/buf.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/pki/seal.h"
#include "base/pki/token.h"
#include "server/ca/bootstrap.h"

#include <stdio.h>
#include <unistd.h>

#define PREFIX "/bootstrap/"

enum {
    LOCK_TRIES = 5,
    LOCK_WAIT_S = 5,
    RETRY_S = 5,
};

struct identity {
    uv_loop_t loop;
    struct store *store;
    struct store_etcd_options store_options;
    struct identity_config config;
    bool locked; /* the key has our empty value */
    int64_t lock_rev;
};

/* ---- the store, one question after the other ---- */

struct answer {
    bool done;
    struct err err;
    int64_t rev;
    /* the one that is ours, and whether there are others */
    struct str key;
    bool found, others;
    int64_t mod_rev;
    struct buf value;
};

static void wait_for(struct identity *id, struct answer *a)
{
    while (!a->done)
        uv_run(&id->loop, UV_RUN_ONCE);
}

static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    struct answer *a = arg;

    a->done = true;
    if (e)
        a->err = *e;
    for (size_t i = 0; l && i < l->n; i++) {
        struct store_obj *o = l->v[i];

        if (!str_eq(store_obj_key(o), a->key)) {
            a->others = true;
            continue;
        }
        a->found = true;
        a->mod_rev = o->mod_rev;
        if (buf_add_str(&a->value, store_obj_value(o)))
            err_set(&a->err, ERR_LIMIT, "bootstrap data of %u bytes", o->value_n);
    }
}

static void on_commit(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                      const struct err *e)
{
    struct answer *a = arg;
    (void)failed;
    (void)current;

    a->done = true;
    a->rev = rev;
    if (e)
        a->err = *e;
}

static int commit(struct identity *id, enum store_op_kind kind, struct str key, struct str value,
                  int64_t if_mod_rev, int64_t *rev, struct err *e)
{
    struct answer a = { .done = false };
    const struct store_op op = {
        .kind = kind, .key = key, .value = value, .if_mod_rev = if_mod_rev
    };

    store_commit(id->store, &op, 1, on_commit, &a);
    wait_for(id, &a);
    if (a.err.code) {
        *e = a.err;
        return (int)e->code;
    }
    if (rev)
        *rev = a.rev;
    return 0;
}

static int look(struct identity *id, struct str key, struct answer *a, struct err *e)
{
    *a = (struct answer){ .key = key, .value = BUF(2 * BOOTSTRAP_MAX_BYTES) };
    store_list(id->store, STR(PREFIX), NULL, on_list, a);
    wait_for(id, a);
    if (a->err.code)
        *e = a->err;
    return (int)a->err.code;
}

static int pause_s(struct identity *id, unsigned s, struct err *e)
{
    for (unsigned i = 0; i < s; i++) {
        if (id->config.is_stopping && id->config.is_stopping())
            return err_set(e, ERR_CANCELED, "stopped while waiting for the datastore");
        sleep(1);
    }
    return 0;
}

/* ---- the token ---- */

static int password_of(const char *token, struct buf *out, struct err *e)
{
    if (token_password(str_trim(str_of(token)), out, e))
        return err_wrap(e, "token");
    return 0;
}

/* ---- open ---- */

static int take(struct identity *id, struct str password, const struct answer *a, struct err *e)
{
    auto_buf document = BUF_SECRET(BOOTSTRAP_MAX_BYTES);
    bool same;

    if (seal_open(&document, buf_str(&a->value), password, e) ||
        bootstrap_compare(id->config.server_dir, buf_str(&document), &same, e) ||
        (!same && bootstrap_write(id->config.server_dir, buf_str(&document), e)))
        return err_wrap(e, "cluster identity from the datastore");
    if (!same)
        log_info("took the cluster's identity from the datastore");
    return 0;
}

/* Once: 0, ERR_AGAIN: locked by another, ... */
static int open_once(struct identity *id, struct str key, struct str password, bool break_lock,
                     struct err *e)
{
    struct answer a;
    int rc = look(id, key, &a, e);

    if (rc)
        goto out;
    if (a.found && a.value.n) {
        rc = take(id, password, &a, e);
    } else if (a.found && break_lock) {
        log_warn("a server that began to make this cluster did not end: its lock is removed");
        rc = commit(id, STORE_DELETE, key, STR(""), a.mod_rev, NULL, e);
        if (!rc || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND)
            rc = err_set(e, ERR_AGAIN, "the lock changed");
    } else if (a.found) {
        rc = err_set(e, ERR_AGAIN, "another server is making this cluster just now");
    } else if (a.others) {
        rc = err_set(e, ERR_DENIED,
                     "the datastore holds a cluster that is encrypted with a different token: give "
                     "its --token");
    } else {
        rc = commit(id, STORE_CREATE, key, STR(""), 0, &id->lock_rev, e);
        id->locked = rc == 0;
        if (rc == ERR_EXISTS)
            e->code = ERR_AGAIN;
        rc = rc ? (int)e->code : 0;
    }
out:
    buf_deinit(&a.value);
    return rc;
}

/* Without a token everything is made anew, which is right for an empty datastore only. */
static int refuse_any(struct identity *id, struct err *e)
{
    struct answer a;
    int rc = look(id, STR(""), &a, e);

    buf_deinit(&a.value);
    if (!rc && a.others)
        return err_set(e, ERR_DENIED,
                       "the datastore holds a cluster already: give its --token to join it");
    return rc;
}

static int open_with_token(struct identity *id, struct err *e)
{
    auto_buf password = BUF_SECRET(TOKEN_MAX_BYTES);
    char key[SEAL_KEY_CHARS + 1];
    unsigned n_locked = 0;
    int rc;

    if (!id->config.token || !*id->config.token)
        return refuse_any(id, e);
    if (password_of(id->config.token, &password, e))
        return (int)e->code;
    seal_key(key, buf_str(&password));
    for (;;) {
        rc = open_once(id, str_of(key), buf_str(&password), n_locked > LOCK_TRIES, e);
        if (rc == ERR_AGAIN) {
            n_locked++;
            log_info("waiting for the cluster's identity", kv("why", e->text));
            if (pause_s(id, n_locked > LOCK_TRIES ? 0 : LOCK_WAIT_S, e))
                return (int)e->code;
        } else if (rc == ERR_CLOSED || rc == ERR_TIMEOUT) {
            log_warn("the datastore does not answer, will retry", kv("err", e->text));
            if (pause_s(id, RETRY_S, e))
                return (int)e->code;
        } else {
            return rc;
        }
    }
}

static int connect_store(struct identity *id, struct err *e)
{
    for (;;) {
        int rc = store_etcd_open(&id->store, &id->loop, &id->store_options, e);

        if (rc != ERR_CLOSED)
            return rc;
        log_warn("waiting for the datastore", kv("err", e->text));
        if (pause_s(id, 1, e))
            return (int)e->code;
    }
}

void identity_free(struct identity *id)
{
    if (!id)
        return;
    if (id->store)
        store_close(id->store, NULL, NULL);
    uv_run(&id->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&id->loop))
        log_error("the loop of the identity was not empty at the end");
    free(id);
}

int identity_open(struct identity **out, const struct identity_config *c, struct err *e)
{
    struct identity *id = mem_alloc(sizeof *id);

    id->config = *c;
    id->store_options = *c->store;
    id->store_options.prefix = PREFIX;
    uv_loop_init(&id->loop);
    if (connect_store(id, e) || open_with_token(id, e)) {
        identity_free(id);
        return (int)e->code;
    }
    *out = id;
    return 0;
}

/* ---- share ---- */

static int share(struct identity *id, const char *token, struct err *e)
{
    auto_buf password = BUF_SECRET(TOKEN_MAX_BYTES);
    auto_buf document = BUF_SECRET(BOOTSTRAP_MAX_BYTES), sealed = BUF(2 * BOOTSTRAP_MAX_BYTES);
    char key[SEAL_KEY_CHARS + 1];
    struct answer a;
    int rc;

    if (password_of(token, &password, e))
        return (int)e->code;
    seal_key(key, buf_str(&password));
    if (bootstrap_read(&document, id->config.server_dir, e) ||
        seal_close(&sealed, buf_str(&document), buf_str(&password), e))
        return (int)e->code;
    if (id->locked) {
        rc = commit(id, STORE_UPDATE, str_of(key), buf_str(&sealed), id->lock_rev, NULL, e);
        if (!rc)
            log_info("the cluster's identity is in the datastore");
        return rc;
    }
    rc = look(id, str_of(key), &a, e);
    buf_deinit(&a.value);
    if (rc || a.found)
        return rc; /* kept: what is there counts, and the disk is equal */
    if (a.others)
        return err_set(e, ERR_DENIED,
                       "the datastore holds a cluster that is encrypted with a different token: "
                       "give its --token, and another --data-dir than this new one");
    return commit(id, STORE_CREATE, str_of(key), buf_str(&sealed), 0, NULL, e);
}

int identity_share(struct identity *id_take, const char *token, struct err *e)
{
    int rc = share(id_take, token, e);

    identity_free(id_take);
    return rc ? err_wrap(e, "cluster identity") : 0;
}
