#include "server/resource/service_ip.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "server/resource/ip_range.h"
#include "server/resource/slots.h"

#include <inttypes.h>
#include <string.h>

#define PORTS_MAX     65536
#define PORTS_DEFAULT "30000-32767" /* --service-node-port-range, K3s's default */

struct service_ips {
    struct ip_range *ranges[SERVICE_FAMILIES_MAX]; /* the first is the primary family's */
    size_t n_ranges;
    int64_t port_first;
    size_t n_ports;
    struct slots *ports;
};

/* How many at the beginning are left to people: 1 of 32, but 16 to 128. None of few. */
static size_t n_lower(size_t n)
{
    return n <= 16 ? 0 : MAX((size_t)16, MIN(n / 32, (size_t)128));
}

static int make_ports(struct service_ips *s, const char *text, struct err *e)
{
    struct str first, last;
    uint64_t from, to;

    if (!text)
        text = PORTS_DEFAULT;
    if (!str_cut(str_of(text), '-', &first, &last) || !str_to_u64(first, &from) ||
        !str_to_u64(last, &to) || !from || from > to || to >= PORTS_MAX)
        return err_set(e, ERR_INVALID, "\"%.40s\" is no range of ports like " PORTS_DEFAULT, text);
    s->port_first = (int64_t)from;
    s->n_ports = to - from + 1;
    s->ports = slots_new(s->n_ports, n_lower(s->n_ports), 0);
    return 0;
}

int service_ips_new(struct service_ips **out, const struct service_ips_config *c, struct err *e)
{
    struct service_ips *s = mem_alloc(sizeof *s);

    for (size_t i = 0; i == 0 || (i < SERVICE_FAMILIES_MAX && c->cidrs[i]); i++) {
        if (ip_range_new(&s->ranges[i], c->cidrs[i], i == 0, e))
            goto failed;
        s->n_ranges++;
    }
    if (s->n_ranges == 2 && ip_range_family(s->ranges[0]) == ip_range_family(s->ranges[1])) {
        err_set(e, ERR_INVALID, "%.60s and %.60s are of one IP family", c->cidrs[0], c->cidrs[1]);
        goto failed;
    }
    if (make_ports(s, c->ports, e))
        goto failed;
    *out = s;
    return 0;
failed:
    service_ips_free(s);
    return (int)e->code;
}

void service_ips_free(struct service_ips *s)
{
    if (!s)
        return;
    slots_free(s->ports);
    for (size_t i = 0; i < s->n_ranges; i++)
        ip_range_free(s->ranges[i]);
    free(s);
}

static const char *family_name(const struct ip_range *r)
{
    return ip_range_family(r) == AF_INET ? "IPv4" : "IPv6";
}

struct service_families service_ips_families(const struct service_ips *s)
{
    struct service_families f = { .n = s->n_ranges };

    for (size_t i = 0; i < f.n; i++)
        f.names[i] = family_name(s->ranges[i]);
    return f;
}

/* ---- what a Service names ---- */

static size_t port_place(const struct service_ips *s, int64_t port)
{
    return port < s->port_first ? SIZE_MAX : (size_t)(port - s->port_first);
}

/* clusterIP, then clusterIPs: an address may come twice. NULL: no more. */
static const char *ip_at(const json_t *service, size_t i)
{
    const json_t *spec = json_object_get(service, "spec");

    return i == 0 ? json_str_at(spec, "clusterIP", "")
                  : json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), i - 1));
}

static bool has_ip(const json_t *service, const char *ip)
{
    const char *one;

    for (size_t i = 0; (one = ip_at(service, i)); i++)
        if (strcmp(one, ip) == 0)
            return true;
    return false;
}

static size_t n_ports(const json_t *service)
{
    return json_array_size(json_at(service, "spec.ports")) + 1;
}

/* The last one is the health check's; 0 for none. */
static int64_t port_at(const json_t *service, size_t i)
{
    const json_t *port = json_array_get(json_at(service, "spec.ports"), i);

    return port ? json_i64_at(port, "nodePort", 0)
                : json_i64_at(service, "spec.healthCheckNodePort", 0);
}

static bool has_port(const json_t *service, int64_t port)
{
    for (size_t i = 0; i < n_ports(service); i++)
        if (port_at(service, i) == port)
            return true;
    return false;
}

static void each(struct service_ips *s, const json_t *service, void (*fn)(struct slots *, size_t))
{
    const char *ip;

    for (size_t i = 0; (ip = ip_at(service, i)); i++)
        for (size_t k = 0; k < s->n_ranges; k++)
            fn(ip_range_slots(s->ranges[k]), ip_range_place(s->ranges[k], ip));
    for (size_t i = 0; i < n_ports(service); i++)
        fn(s->ports, port_place(s, port_at(service, i)));
}

void service_ips_hold(struct service_ips *s, const json_t *service)
{
    each(s, service, slots_hold);
}

void service_ips_give(struct service_ips *s, const char *ip)
{
    for (size_t k = 0; k < s->n_ranges; k++)
        slots_give(ip_range_slots(s->ranges[k]), ip_range_place(s->ranges[k], ip));
}

void service_ips_give_port(struct service_ips *s, int64_t port)
{
    slots_give(s->ports, port_place(s, port));
}

void service_ips_release(struct service_ips *s, const json_t *service, const json_t *kept)
{
    const char *ip;

    for (size_t i = 0; (ip = ip_at(service, i)); i++)
        if (!kept || !has_ip(kept, ip))
            service_ips_give(s, ip);
    for (size_t i = 0; i < n_ports(service); i++)
        if (!kept || !has_port(kept, port_at(service, i)))
            service_ips_give_port(s, port_at(service, i));
}

/* ---- taking ---- */

static struct ip_range *range_of(const struct service_ips *s, const char *family)
{
    for (size_t i = 0; i < s->n_ranges; i++)
        if (strcmp(family_name(s->ranges[i]), family) == 0)
            return s->ranges[i];
    return NULL;
}

int service_ips_take(struct service_ips *s, const char *ip, struct err *e)
{
    struct ip_range *r = range_of(s, strchr(ip, ':') ? "IPv6" : "IPv4");

    return ip_range_take(r ? r : s->ranges[0], ip, e);
}

int service_ips_take_any(struct service_ips *s, const char *family, char out[INET6_ADDRSTRLEN],
                         struct err *e)
{
    struct ip_range *r = range_of(s, family);

    if (!r)
        return err_set(e, ERR_INVALID, "%s is not configured on this cluster", family);
    return ip_range_take_any(r, out, e);
}

int service_ips_take_port(struct service_ips *s, int64_t port, struct err *e)
{
    size_t i = port_place(s, port);

    if (!slots_has(s->ports, i))
        return err_set(e, ERR_INVALID,
                       "provided port is not in the valid range. The range of valid ports is "
                       "%" PRId64 "-%" PRId64,
                       s->port_first, s->port_first + (int64_t)s->n_ports - 1);
    if (!slots_take(s->ports, i))
        return err_set(e, ERR_EXISTS, "provided port is already allocated");
    return 0;
}

int service_ips_take_any_port(struct service_ips *s, int64_t *out, struct err *e)
{
    size_t i;

    if (!slots_take_any(s->ports, &i))
        return err_set(e, ERR_LIMIT, "failed to allocate a nodePort: range is full");
    *out = s->port_first + (int64_t)i;
    return 0;
}

/* ---- recounting ---- */

void service_ips_recount_begin(struct service_ips *s)
{
    for (size_t k = 0; k < s->n_ranges; k++)
        slots_recount_begin(ip_range_slots(s->ranges[k]));
    slots_recount_begin(s->ports);
}

void service_ips_recount_see(struct service_ips *s, const json_t *service)
{
    each(s, service, slots_recount_see);
}

size_t service_ips_recount_end(struct service_ips *s)
{
    size_t n = slots_recount_end(s->ports);

    for (size_t k = 0; k < s->n_ranges; k++)
        n += slots_recount_end(ip_range_slots(s->ranges[k]));
    return n;
}
