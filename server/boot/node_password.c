/*
 *   READ --> VERIFY (pool) --> done             the Secret exists
 *     | \--> HASH (pool) --> CREATE --> done     it does not: this password becomes the node's
 *     |                        \--> READ         somebody else was first
 *     +--> done(ERR_NOT_FOUND)                  it does not, and none may be set
 *     +--> done(ERR_AGAIN)                      anything that is not a clear answer
 */
#include "server/boot/node_password.h"

#include "base/core/clock.h"
#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/io/digest.h"
#include "base/io/work.h"
#include "base/pki/password.h"
#include "server/api/local.h"

#include <stdio.h>

#define VERIFIED_MAX                                                                               \
    16384                  /* nodes remembered; then the memory is dropped and scrypt pays again   \
                            */
#define READS_MAX        3 /* create lost against somebody else so often: give up */
#define EVENT_EVERY_MS   60000
#define SECRET_NAMESPACE "kube-system"
#define SECRET_TYPE      "k3s.cattle.io/node-password"

struct node_passwords {
    uv_loop_t *loop;
    struct api *api;
    unsigned char mac_key[32];
    struct map *verified;   /* node -> struct digest *, of password and hash */
    struct map *last_event; /* node -> uint64_t *, loop time */
    struct list checks;
    bool closing;
    void (*done)(void *arg);
    void *done_arg;
};

enum check_state { CHECK_READ, CHECK_VERIFY, CHECK_HASH, CHECK_CREATE };

struct check {
    struct list in;
    struct node_passwords *np;
    enum check_state state;
    char node[254];
    char secret[280]; /* its name */
    char *password;
    size_t password_n;
    bool may_set;
    char hash[PASSWORD_HASH_MAX_BYTES];
    unsigned n_reads;
    node_password_fn done;
    void *arg;
};

static void np_free(struct node_passwords *np)
{
    struct map *maps[2] = { np->verified, np->last_event };

    for (size_t m = 0; m < 2; m++) {
        size_t i = 0;
        struct str key;
        void *value;
        while (map_next(maps[m], &i, &key, &value))
            free(value);
        map_free(maps[m]);
    }
    explicit_bzero(np->mac_key, sizeof np->mac_key);
    free(np);
}

static void conclude(struct check *c, const struct err *e)
{
    struct node_passwords *np = c->np;
    node_password_fn done = c->done;
    void *arg = c->arg;
    struct err canceled;

    if (np->closing) {
        err_set(&canceled, ERR_CANCELED, "the server is stopping");
        e = &canceled;
    }
    list_remove(&c->in);
    explicit_bzero(c->password, c->password_n);
    free(c->password);
    free(c);
    done(arg, e);
    if (np->closing && list_empty(&np->checks)) {
        void (*closed)(void *) = np->done;
        void *closed_arg = np->done_arg;
        np_free(np);
        if (closed)
            closed(closed_arg);
    }
}

/* Binds password to hash under a key that dies with the process. */
static void mac_of(const struct check *c, unsigned char out[32])
{
    auto_buf b = BUF_SECRET(2048);

    err_ignore(buf_add(&b, c->np->mac_key, sizeof c->np->mac_key)); /* all lengths are bounded */
    err_ignore(buf_adds(&b, c->hash));
    err_ignore(buf_addc(&b, '\0'));
    err_ignore(buf_add(&b, c->password, c->password_n));
    digest_sha256(out, buf_str(&b));
}

static void remember(struct check *c)
{
    unsigned char *mac = mem_alloc(32);
    struct node_passwords *np = c->np;

    if (map_len(np->verified) >= VERIFIED_MAX) {
        size_t i = 0;
        struct str key;
        void *value;
        while (map_next(np->verified, &i, &key, &value))
            free(value);
        map_free(np->verified);
        np->verified = map_new();
    }
    mac_of(c, mac);
    free(map_set(np->verified, str_of(c->node), mac));
}

static bool is_remembered(const struct check *c)
{
    const unsigned char *known = map_get(c->np->verified, str_of(c->node));
    unsigned char mac[32];

    if (!known)
        return false;
    mac_of(c, mac);
    return str_eq_secret(str_n(known, 32), str_n(mac, 32));
}

/* ---- the Event of a rejection ------------------------------------------------------------------
 */

static void on_event_written(void *arg, int code, const json_t *obj, const struct err *e)
{
    (void)arg;
    (void)obj;
    if (e)
        log_debug("event of a rejected node not written", kv("code", code), kv("err", e->text));
}

static bool event_is_due(struct node_passwords *np, const char *node)
{
    uint64_t *last = map_get(np->last_event, str_of(node));
    uint64_t now_ms = uv_now(np->loop);

    if (last && now_ms - *last < EVENT_EVERY_MS)
        return false;
    if (!last && map_len(np->last_event) >= VERIFIED_MAX)
        return false;
    if (!last) {
        last = mem_alloc(sizeof *last);
        map_set(np->last_event, str_of(node), last);
    }
    *last = now_ms;
    return true;
}

static void write_event(struct node_passwords *np, const char *node, const char *message)
{
    struct local_ref ref = { .resource = "events", .ns = "default" };
    char name[300], now[TIME_TEXT_BYTES];
    char suffix[17];

    if (!event_is_due(np, node))
        return;
    rand_hex(suffix, 8);
    snprintf(name, sizeof name, "%s.%s", node, suffix);
    time_now_s(now);
    json_auto_t *ev = json_pack(
        "{s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:{s:s}, s:s, s:s, s:s, s:i}",
        "metadata", "name", name, "namespace", "default", "involvedObject", "apiVersion", "v1",
        "kind", "Node", "name", node, "uid", node, "reason", "NodePasswordValidationFailed", "type",
        "Warning", "message", message, "source", "component", "k3s-supervisor",
        "reportingComponent", "k3s-supervisor", "firstTimestamp", now, "lastTimestamp", now,
        "count", 1);
    local_create(np->api, &ref, ev, on_event_written, NULL);
}

/* ---- the check ---------------------------------------------------------------------------------
 */

static void read_secret(struct check *c);

static void reject(struct check *c, const char *why)
{
    struct err e;

    err_set(&e, ERR_DENIED,
            "node password rejected for \"%s\": %s. To let it back in: kubectl delete node %s"
            " (or: kubectl -n kube-system delete secret %s); or join with another --node-name or"
            " --with-node-id",
            c->node, why, c->node, c->secret);
    log_warn("node password rejected", kv("node", c->node), kv("why", why));
    write_event(c->np, c->node, e.text);
    conclude(c, &e);
}

static void give_up(struct check *c, const char *what, const char *why)
{
    struct err e;

    err_set(&e, ERR_AGAIN, "node password of \"%s\" cannot be checked now: %s: %s", c->node, what,
            why);
    conclude(c, &e);
}

static int verify_work(void *arg, struct err *e)
{
    const struct check *c = arg;

    return password_verify(str_of(c->hash), str_n(c->password, c->password_n), e);
}

static void on_verified(void *arg, const struct err *e)
{
    struct check *c = arg;

    if (!e) {
        remember(c);
        conclude(c, NULL);
    } else if (c->np->closing) {
        conclude(c, e);
    } else if (e->code == ERR_DENIED) {
        reject(c, "it differs from the one that this name joined with");
    } else if (e->code == ERR_INVALID) {
        reject(c, "the stored hash is not readable");
    } else {
        give_up(c, "verify", e->text);
    }
}

static void on_created(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct check *c = arg;

    (void)code;
    (void)obj;
    if (!e) {
        log_info("node password recorded", kv("node", c->node));
        remember(c);
        conclude(c, NULL);
    } else if (e->code == ERR_EXISTS && c->n_reads < READS_MAX && !c->np->closing) {
        read_secret(c);
    } else {
        give_up(c, "create the secret", e->text);
    }
}

static int hash_work(void *arg, struct err *e)
{
    struct check *c = arg;

    return password_hash(c->hash, str_n(c->password, c->password_n), e);
}

static void on_hashed(void *arg, const struct err *e)
{
    struct check *c = arg;
    struct local_ref ref = { .resource = "secrets", .ns = SECRET_NAMESPACE };
    auto_buf b64 = BUF(1024);

    if (e || c->np->closing) { /* then the API may be gone when this returns */
        give_up(c, "hash", e ? e->text : "the server is stopping");
        return;
    }
    err_ignore(base64_add(&b64, str_of(c->hash))); /* 256 bytes fit */
    json_auto_t *secret = json_pack("{s:{s:s, s:s}, s:s, s:b, s:{s:s}}", "metadata", "name",
                                    c->secret, "namespace", SECRET_NAMESPACE, "type", SECRET_TYPE,
                                    "immutable", 1, "data", "hash", buf_cstr(&b64));
    c->state = CHECK_CREATE;
    local_create(c->np->api, &ref, secret, on_created, c);
}

static void on_read(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct check *c = arg;
    const char *b64;
    auto_buf hash = BUF(PASSWORD_HASH_MAX_BYTES - 1);

    if (c->np->closing || (e && e->code != ERR_NOT_FOUND)) {
        give_up(c, "read the secret", e ? e->text : "the server is stopping");
        return;
    }
    (void)code;
    if (e && !c->may_set) {
        conclude(c, e);
        return;
    }
    if (e) {
        c->state = CHECK_HASH;
        work_start(NULL, c->np->loop, hash_work, on_hashed, c);
        return;
    }
    b64 = json_str_at(obj, "data.hash", NULL);
    if (!b64 || base64_decode(&hash, str_of(b64), false)) {
        reject(c, "its secret holds no hash");
        return;
    }
    snprintf(c->hash, sizeof c->hash, "%s", buf_cstr(&hash));
    if (is_remembered(c)) {
        conclude(c, NULL);
        return;
    }
    c->state = CHECK_VERIFY;
    work_start(NULL, c->np->loop, verify_work, on_verified, c);
}

static void read_secret(struct check *c)
{
    struct local_ref ref = { .resource = "secrets", .ns = SECRET_NAMESPACE, .name = c->secret };

    c->state = CHECK_READ;
    c->n_reads++;
    local_get(c->np->api, &ref, on_read, c);
}

void node_passwords_check(struct node_passwords *np, const char *node, struct str password,
                          bool may_set, node_password_fn done, void *arg)
{
    struct check *c = mem_alloc(sizeof *c);

    c->np = np;
    c->done = done;
    c->arg = arg;
    snprintf(c->node, sizeof c->node, "%s", node);
    snprintf(c->secret, sizeof c->secret, "%s.node-password.k3s", c->node);
    c->password = mem_dup(password.p, password.n);
    c->password_n = password.n;
    c->may_set = may_set;
    list_push(&np->checks, &c->in);
    read_secret(c);
}

void node_passwords_new(struct node_passwords **out, uv_loop_t *loop, struct api *api)
{
    struct node_passwords *np = mem_alloc(sizeof *np);

    np->loop = loop;
    np->api = api;
    rand_bytes(np->mac_key, sizeof np->mac_key);
    np->verified = map_new();
    np->last_event = map_new();
    list_init(&np->checks);
    *out = np;
}

void node_passwords_close(struct node_passwords *np, void (*done)(void *arg), void *arg)
{
    np->closing = true;
    np->done = done;
    np->done_arg = arg;
    if (!list_empty(&np->checks))
        return;
    np_free(np);
    if (done)
        done(arg);
}
