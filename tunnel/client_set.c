#include "tunnel/client_set.h"

#include "base/core/mem.h"

struct tunnel_client_set {
    uv_loop_t *loop;
    struct tunnel_client_options o;
    struct member {
        char *address;
        struct tunnel_client *client;
    } v[TUNNEL_SERVERS_MAX];
    size_t n;
    uv_idle_t handle; /* never started: its close makes done come from the loop */
    size_t n_closing; /* clients that are not gone yet, and the handle */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- credentials, ours to keep: clients to come need them ---- */

static void take_copy(struct str *to, struct str from)
{
    *to = str_n(from.n ? mem_dup(from.p, from.n) : NULL, from.n);
}

static void wipe(struct str *s)
{
    if (s->p)
        explicit_bzero((char *)s->p, s->n);
    free((char *)s->p);
    *s = str_n(NULL, 0);
}

static void keep(struct tunnel_client_set *set, struct str ca, struct str chain, struct str key)
{
    wipe(&set->o.ca_pem);
    wipe(&set->o.cert_chain_pem);
    wipe(&set->o.key_pem);
    take_copy(&set->o.ca_pem, ca);
    take_copy(&set->o.cert_chain_pem, chain);
    take_copy(&set->o.key_pem, key);
}

/* ---- members ---- */

static void maybe_gone(struct tunnel_client_set *set)
{
    void (*closed)(void *arg) = set->closed;
    void *arg = set->closed_arg;

    if (!set->closing || set->n_closing)
        return;
    keep(set, str_n(NULL, 0), str_n(NULL, 0), str_n(NULL, 0));
    free(set);
    if (closed)
        closed(arg);
}

static void on_client_closed(void *arg)
{
    struct tunnel_client_set *set = arg;

    set->n_closing--;
    maybe_gone(set);
}

static void on_handle_closed(uv_handle_t *h)
{
    on_client_closed(h->data);
}

static void member_close(struct tunnel_client_set *set, struct member *m)
{
    set->n_closing++;
    tunnel_client_close(m->client, on_client_closed, set);
    free(m->address);
}

static size_t find(const struct tunnel_client_set *set, const char *address)
{
    size_t i = 0;

    while (i < set->n && strcmp(set->v[i].address, address) != 0)
        i++;
    return i;
}

static bool is_in(const char *const *addresses, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(addresses[i], address) == 0)
            return true;
    return false;
}

/* New ones behind the n_old present ones; on failure none of them stays. */
static int add_missing(struct tunnel_client_set *set, const char *const *addresses, size_t n,
                       size_t n_old, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct member *m = &set->v[set->n];

        if (find(set, addresses[i]) < set->n)
            continue;
        if (set->n == TUNNEL_SERVERS_MAX)
            err_set(e, ERR_LIMIT, "more than %d servers", TUNNEL_SERVERS_MAX);
        else if (!tunnel_client_new(&m->client, set->loop, addresses[i], &set->o, e)) {
            m->address = mem_strdup(addresses[i]);
            set->n++;
            continue;
        }
        while (set->n > n_old)
            member_close(set, &set->v[--set->n]);
        return e->code;
    }
    return 0;
}

int tunnel_client_set_servers(struct tunnel_client_set *set, const char *const *addresses, size_t n,
                              struct err *e)
{
    size_t n_old = set->n, n_kept = 0;

    if (n > TUNNEL_SERVERS_MAX)
        return err_set(e, ERR_LIMIT, "%zu servers, at most %d", n, TUNNEL_SERVERS_MAX);
    if (add_missing(set, addresses, n, n_old, e))
        return err_wrap(e, "servers of the tunnel");
    for (size_t i = 0; i < set->n; i++) {
        struct member m = set->v[i];

        if (is_in(addresses, n, m.address))
            set->v[n_kept++] = m;
        else
            member_close(set, &m);
    }
    set->n = n_kept;
    return 0;
}

int tunnel_client_set_reload(struct tunnel_client_set *set, struct str ca_pem,
                             struct str cert_chain_pem, struct str key_pem, struct err *e)
{
    /* The first one judges the credentials; what is good for one is good for all. */
    if (tunnel_client_check(ca_pem, cert_chain_pem, key_pem, e))
        return e->code;
    for (size_t i = 0; i < set->n; i++)
        if (tunnel_client_reload(set->v[i].client, ca_pem, cert_chain_pem, key_pem, e))
            return e->code;
    keep(set, ca_pem, cert_chain_pem, key_pem);
    return 0;
}

void tunnel_client_set_doubt(struct tunnel_client_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        tunnel_client_doubt(set->v[i].client);
}

size_t tunnel_client_set_status(const struct tunnel_client_set *set,
                                struct tunnel_client_status *out, size_t n_max)
{
    for (size_t i = 0; i < MIN(set->n, n_max); i++)
        tunnel_client_status(set->v[i].client, &out[i]);
    return set->n;
}

size_t tunnel_client_set_n_connected(const struct tunnel_client_set *set)
{
    struct tunnel_client_status st;
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++) {
        tunnel_client_status(set->v[i].client, &st);
        n += st.state == TUNNEL_CLIENT_CONNECTED;
    }
    return n;
}

/* ---- life ---- */

int tunnel_client_set_new(struct tunnel_client_set **out, uv_loop_t *loop,
                          const struct tunnel_client_options *o, struct err *e)
{
    struct tunnel_client_set *set;

    if (tunnel_client_check(o->ca_pem, o->cert_chain_pem, o->key_pem, e))
        return e->code;
    set = mem_alloc(sizeof *set);
    set->loop = loop;
    uv_idle_init(loop, &set->handle); /* never fails */
    set->handle.data = set;
    set->o = *o;
    take_copy(&set->o.ca_pem, o->ca_pem);
    take_copy(&set->o.cert_chain_pem, o->cert_chain_pem);
    take_copy(&set->o.key_pem, o->key_pem);
    *out = set;
    return 0;
}

void tunnel_client_set_close(struct tunnel_client_set *set, void (*done)(void *arg), void *arg)
{
    set->closing = true;
    set->closed = done;
    set->closed_arg = arg;
    while (set->n)
        member_close(set, &set->v[--set->n]);
    set->n_closing++;
    uv_close((uv_handle_t *)&set->handle, on_handle_closed);
}
