#include "server/resource/service_claims.h"

#include "base/data/cidr.h"
#include "base/data/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define IPS   SERVICE_CLAIMS_PREFIX "serviceips/"
#define PORTS SERVICE_CLAIMS_PREFIX "nodeports/"

typedef bool (*each_fn)(void *arg, const char *key); /* false: enough */

static bool each_ip(const char *ip, each_fn fn, void *arg)
{
    char key[sizeof((struct service_claim *)0)->key], text[INET6_ADDRSTRLEN];
    struct cidr c;

    if (!ip || !cidr_parse_address(&c, str_of(ip))) /* "None" */
        return true;
    cidr_nth(text, &c, 0); /* "FD00::0007" and "fd00::7" are one address */
    snprintf(key, sizeof key, IPS "%s", text);
    return fn(arg, key);
}

static bool each_port(int64_t port, each_fn fn, void *arg)
{
    char key[sizeof((struct service_claim *)0)->key];

    if (port <= 0)
        return true;
    snprintf(key, sizeof key, PORTS "%" PRId64, port);
    return fn(arg, key);
}

/* What the Service holds; a key may come twice. False: fn had enough. */
static bool each_held(const json_t *service, each_fn fn, void *arg)
{
    const json_t *spec = json_object_get(service, "spec"), *v;
    size_t i;

    if (!each_ip(json_str_at(spec, "clusterIP", ""), fn, arg))
        return false;
    json_array_foreach(json_object_get(spec, "clusterIPs"), i, v)
    {
        if (!each_ip(json_string_value(v), fn, arg))
            return false;
    }
    json_array_foreach(json_object_get(spec, "ports"), i, v)
    {
        if (!each_port(json_i64_at(v, "nodePort", 0), fn, arg))
            return false;
    }
    return each_port(json_i64_at(spec, "healthCheckNodePort", 0), fn, arg);
}

static bool is_other(void *arg, const char *key)
{
    return strcmp(arg, key) != 0;
}

static bool holds(const json_t *service, const char *key)
{
    return !each_held(service, is_other, (void *)key);
}

struct adding {
    struct service_claims *out;
    const json_t *other; /* what it has too does not change */
    bool take;
};

static bool add(void *arg, const char *key)
{
    const struct adding *a = arg;
    struct service_claims *out = a->out;
    struct service_claim *c;

    if (holds(a->other, key))
        return true;
    for (size_t i = 0; i < out->n; i++)
        if (strcmp(out->v[i].key, key) == 0)
            return true;
    if (out->n == SERVICE_CLAIMS_MAX)
        return false;
    c = &out->v[out->n++];
    c->take = a->take;
    snprintf(c->key, sizeof c->key, "%s", key);
    return true;
}

int service_claims_of(struct service_claims *out, const json_t *obj, const json_t *old,
                      struct err *e)
{
    struct adding taken = { out, old, true }, given = { out, obj, false };

    out->n = 0;
    if (each_held(obj, add, &taken) && each_held(old, add, &given))
        return 0;
    return err_set(e, ERR_LIMIT,
                   "a Service with more than %d addresses and node ports needs a datastore that "
                   "is not shared",
                   SERVICE_CLAIMS_MAX);
}
