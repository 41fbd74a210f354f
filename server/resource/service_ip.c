#include "server/resource/service_ip.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/cidr.h"
#include "base/data/json.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#define PORT_FIRST 30000 /* --service-node-port-range, K3s's default */
#define PORTS_N    2768

struct service_ips {
    uint32_t base; /* host byte order */
    uint32_t n;    /* addresses, network and broadcast included */
    char cidr[32];
    uint8_t used[SERVICE_IPS_MAX / 8];
    uint8_t ports[PORTS_N / 8];
};

static bool get(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void put(uint8_t *bits, size_t i, bool on)
{
    bits[i / 8] = (uint8_t)(on ? bits[i / 8] | 1u << (i % 8) : bits[i / 8] & ~(1u << (i % 8)));
}

int service_ips_new(struct service_ips **out, const char *cidr, struct err *e)
{
    struct service_ips *s;
    struct cidr c;
    uint32_t base;

    if (!cidr_parse(&c, str_of(cidr)) || c.family != AF_INET || c.prefix_bits < 8 ||
        c.prefix_bits > 30)
        return err_set(e, ERR_INVALID, "\"%.40s\" is not an IPv4 CIDR of /8 to /30",
                       cidr ? cidr : "");
    s = mem_alloc(sizeof *s);
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

/* Place in the CIDR; false for other addresses, the network's own and the last one. */
static bool index_of(const struct service_ips *s, const char *ip, uint32_t *i)
{
    struct in_addr addr;

    if (inet_pton(AF_INET, ip, &addr) != 1)
        return false;
    *i = ntohl(addr.s_addr) - s->base;
    return *i > 0 && *i < s->n - 1;
}

static const char *ip_of(const json_t *service)
{
    return json_str_at(service, "spec.clusterIP", "");
}

void service_ips_hold(struct service_ips *s, const json_t *service)
{
    uint32_t i;
    size_t k;
    json_t *p;

    if (index_of(s, ip_of(service), &i))
        put(s->used, i, true);
    json_array_foreach(json_at(service, "spec.ports"), k, p)
    {
        int64_t port = json_i64_at(p, "nodePort", 0) - PORT_FIRST;

        if (port >= 0 && port < PORTS_N)
            put(s->ports, (size_t)port, true);
    }
}

static bool has_port(const json_t *service, int64_t port)
{
    size_t k;
    json_t *p;

    json_array_foreach(json_at(service, "spec.ports"), k,
                       p) if (json_i64_at(p, "nodePort", 0) == port) return true;
    return false;
}

void service_ips_release(struct service_ips *s, const json_t *service, const json_t *kept)
{
    const char *ip = ip_of(service);
    uint32_t i;
    size_t k;
    json_t *p;

    if (index_of(s, ip, &i) && (!kept || strcmp(ip, ip_of(kept)) != 0))
        put(s->used, i, false);
    json_array_foreach(json_at(service, "spec.ports"), k, p)
    {
        int64_t port = json_i64_at(p, "nodePort", 0);

        if (port >= PORT_FIRST && port < PORT_FIRST + PORTS_N && !(kept && has_port(kept, port)))
            put(s->ports, (size_t)(port - PORT_FIRST), false);
    }
}

int service_ips_take(struct service_ips *s, const char *ip, struct err *e)
{
    uint32_t i;

    if (!index_of(s, ip, &i))
        return err_set(e, ERR_INVALID,
                       "failed to allocate IP %s: the provided IP is not in the valid range. The "
                       "range of valid IPs is %s",
                       ip, s->cidr);
    if (get(s->used, i))
        return err_set(e, ERR_EXISTS, "failed to allocate IP %s: provided IP is already allocated",
                       ip);
    put(s->used, i, true);
    return 0;
}

int service_ips_take_any(struct service_ips *s, char out[16], struct err *e)
{
    uint32_t n = s->n - 3, start = (uint32_t)rand_below(n); /* without network, first and last */

    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = 2 + (start + k) % n;
        struct in_addr addr = { .s_addr = htonl(s->base + i) };

        if (get(s->used, i))
            continue;
        put(s->used, i, true);
        inet_ntop(AF_INET, &addr, out, 16);
        return 0;
    }
    return err_set(e, ERR_LIMIT, "failed to allocate a service IP: range %s is full", s->cidr);
}

int service_ips_take_port(struct service_ips *s, int64_t port, struct err *e)
{
    if (port < PORT_FIRST || port >= PORT_FIRST + PORTS_N)
        return err_set(e, ERR_INVALID,
                       "nodePort %" PRId64 ": provided port is not in the valid range. The range "
                       "of valid ports is 30000-32767",
                       port);
    if (get(s->ports, (size_t)(port - PORT_FIRST)))
        return err_set(e, ERR_EXISTS, "nodePort %" PRId64 ": provided port is already allocated",
                       port);
    put(s->ports, (size_t)(port - PORT_FIRST), true);
    return 0;
}

int service_ips_take_any_port(struct service_ips *s, int64_t *out, struct err *e)
{
    size_t start = (size_t)rand_below(PORTS_N);

    for (size_t k = 0; k < PORTS_N; k++) {
        size_t i = (start + k) % PORTS_N;

        if (get(s->ports, i))
            continue;
        put(s->ports, i, true);
        *out = PORT_FIRST + (int64_t)i;
        return 0;
    }
    return err_set(e, ERR_LIMIT, "failed to allocate a nodePort: range is full");
}
