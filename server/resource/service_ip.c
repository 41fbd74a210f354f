#include "server/resource/service_ip.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/cidr.h"
#include "base/data/json.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#define PORTS_MAX     65536
#define PORTS_DEFAULT "30000-32767" /* --service-node-port-range, K3s's default */

struct holdings {
    uint8_t ips[SERVICE_IPS_MAX / 8];
    uint8_t ports[PORTS_MAX / 8];
};

struct service_ips {
    uint32_t base; /* host byte order */
    uint32_t n;    /* addresses, network and broadcast included */
    char cidr[32];
    int64_t port_first;
    size_t n_ports;
    struct holdings used;
    struct holdings seen;    /* by the recount that runs */
    struct holdings suspect; /* used, but not seen by the last recount */
};

static bool get(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void put(uint8_t *bits, size_t i, bool on)
{
    bits[i / 8] = (uint8_t)(on ? bits[i / 8] | 1u << (i % 8) : bits[i / 8] & ~(1u << (i % 8)));
}

int service_ips_new(struct service_ips **out, const char *cidr, const char *ports, struct err *e)
{
    struct service_ips *s;
    struct str first, last;
    uint64_t from, to;
    struct cidr c;
    uint32_t base;

    if (!cidr_parse(&c, str_of(cidr)) || c.family != AF_INET || c.prefix_bits < 8 ||
        c.prefix_bits > 30)
        return err_set(e, ERR_INVALID, "\"%.40s\" is not an IPv4 CIDR of /8 to /30",
                       cidr ? cidr : "");
    if (!ports)
        ports = PORTS_DEFAULT;
    if (!str_cut(str_of(ports), '-', &first, &last) || !str_to_u64(first, &from) ||
        !str_to_u64(last, &to) || !from || from > to || to >= PORTS_MAX)
        return err_set(e, ERR_INVALID, "\"%.40s\" is no range of ports like " PORTS_DEFAULT, ports);
    s = mem_alloc(sizeof *s);
    s->port_first = (int64_t)from;
    s->n_ports = to - from + 1;
    memcpy(&base, c.ip, sizeof base);
    s->base = ntohl(base);
    s->n = MIN(1u << (32 - c.prefix_bits), SERVICE_IPS_MAX);
    snprintf(s->cidr, sizeof s->cidr, "%s", cidr);
    *out = s;
    return 0;
}

void service_ips_free(struct service_ips *s)
{
    free(s);
}

/* ---- what a Service names ---- */

/* Place in the CIDR; false for other addresses, the network's own and the last one. */
static bool index_of(const struct service_ips *s, const char *ip, uint32_t *i)
{
    struct in_addr addr;

    if (inet_pton(AF_INET, ip, &addr) != 1)
        return false;
    *i = ntohl(addr.s_addr) - s->base;
    return *i > 0 && *i < s->n - 1;
}

static bool port_index(const struct service_ips *s, int64_t port, size_t *i)
{
    *i = (size_t)(port - s->port_first);
    return port >= s->port_first && *i < s->n_ports;
}

static const char *ip_of(const json_t *service)
{
    return json_str_at(service, "spec.clusterIP", "");
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

static void add(struct holdings *h, const struct service_ips *s, const json_t *service)
{
    uint32_t i;
    size_t k;

    if (index_of(s, ip_of(service), &i))
        put(h->ips, i, true);
    for (size_t n = 0; n < n_ports(service); n++)
        if (port_index(s, port_at(service, n), &k))
            put(h->ports, k, true);
}

void service_ips_hold(struct service_ips *s, const json_t *service)
{
    add(&s->used, s, service);
}

void service_ips_give(struct service_ips *s, const char *ip)
{
    uint32_t i;

    if (index_of(s, ip, &i))
        put(s->used.ips, i, false);
}

void service_ips_give_port(struct service_ips *s, int64_t port)
{
    size_t i;

    if (port_index(s, port, &i))
        put(s->used.ports, i, false);
}

void service_ips_release(struct service_ips *s, const json_t *service, const json_t *kept)
{
    if (!kept || strcmp(ip_of(service), ip_of(kept)) != 0)
        service_ips_give(s, ip_of(service));
    for (size_t i = 0; i < n_ports(service); i++)
        if (!kept || !has_port(kept, port_at(service, i)))
            service_ips_give_port(s, port_at(service, i));
}

/* ---- taking ---- */

int service_ips_take(struct service_ips *s, const char *ip, struct err *e)
{
    uint32_t i;

    if (!index_of(s, ip, &i))
        return err_set(e, ERR_INVALID,
                       "the provided IP (%s) is not in the valid range. The range of valid IPs is "
                       "%s",
                       ip, s->cidr);
    if (get(s->used.ips, i))
        return err_set(e, ERR_EXISTS, "provided IP is already allocated");
    put(s->used.ips, i, true);
    return 0;
}

/* A free place in [first, end), from a random one on. False: none. */
static bool take_between(uint8_t *bits, size_t first, size_t end, size_t *out)
{
    size_t n = end > first ? end - first : 0, start = n ? (size_t)rand_below((uint32_t)n) : 0;

    for (size_t k = 0; k < n; k++) {
        size_t i = first + (start + k) % n;

        if (get(bits, i))
            continue;
        put(bits, i, true);
        *out = i;
        return true;
    }
    return false;
}

/* How many at the beginning are left to people: 1 of step, but min to max. None of few. */
static size_t chosen_part(size_t n, size_t step, size_t min, size_t max)
{
    return n <= min ? 0 : MAX(min, MIN(n / step, max));
}

int service_ips_take_any(struct service_ips *s, char out[16], struct err *e)
{
    size_t end = s->n - 1, middle = 1 + chosen_part(s->n, 16, 16, 256), i;
    struct in_addr addr;

    middle = MAX(middle, (size_t)2); /* without the network and the kubernetes Service's */
    if (!take_between(s->used.ips, middle, end, &i) && !take_between(s->used.ips, 2, middle, &i))
        return err_set(e, ERR_LIMIT, "failed to allocate a serviceIP: range is full");
    addr.s_addr = htonl(s->base + (uint32_t)i);
    inet_ntop(AF_INET, &addr, out, 16);
    return 0;
}

int service_ips_take_port(struct service_ips *s, int64_t port, struct err *e)
{
    size_t i;

    if (!port_index(s, port, &i))
        return err_set(e, ERR_INVALID,
                       "provided port is not in the valid range. The range of valid ports is "
                       "%" PRId64 "-%" PRId64,
                       s->port_first, s->port_first + (int64_t)s->n_ports - 1);
    if (get(s->used.ports, i))
        return err_set(e, ERR_EXISTS, "provided port is already allocated");
    put(s->used.ports, i, true);
    return 0;
}

int service_ips_take_any_port(struct service_ips *s, int64_t *out, struct err *e)
{
    size_t middle = chosen_part(s->n_ports, 32, 16, 128), i;

    if (!take_between(s->used.ports, middle, s->n_ports, &i) &&
        !take_between(s->used.ports, 0, middle, &i))
        return err_set(e, ERR_LIMIT, "failed to allocate a nodePort: range is full");
    *out = s->port_first + (int64_t)i;
    return 0;
}

/* ---- recounting ---- */

void service_ips_recount_begin(struct service_ips *s)
{
    s->seen = (struct holdings){ 0 };
}

void service_ips_recount_see(struct service_ips *s, const json_t *service)
{
    add(&s->seen, s, service);
    add(&s->used, s, service);
}

static size_t recount(uint8_t *used, const uint8_t *seen, uint8_t *suspect, size_t n_bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i++) {
        uint8_t unseen = (uint8_t)(used[i] & ~seen[i]), lost = unseen & suspect[i];
        used[i] = (uint8_t)(used[i] & ~lost);
        suspect[i] = (uint8_t)(unseen & ~lost);
        n += (size_t)__builtin_popcount(lost);
    }
    return n;
}

size_t service_ips_recount_end(struct service_ips *s)
{
    return recount(s->used.ips, s->seen.ips, s->suspect.ips, sizeof s->used.ips) +
           recount(s->used.ports, s->seen.ports, s->suspect.ports, sizeof s->used.ports);
}
