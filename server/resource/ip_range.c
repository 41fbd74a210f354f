#include "server/resource/ip_range.h"

#include "base/core/mem.h"
#include "base/data/cidr.h"
#include "server/resource/slots.h"

#include <stdio.h>
#include <string.h>

struct ip_range {
    struct cidr net;
    struct slots *slots; /* place 0 is the address behind the network's own */
    char text[CIDR_TEXT_BYTES];
};

/* How many at the beginning are left to people: 1 of 16, but 16 to 256. None of few. */
static size_t n_lower(size_t n)
{
    return n <= 16 ? 0 : MAX((size_t)16, MIN(n / 16, (size_t)256));
}

int ip_range_new(struct ip_range **out, const char *cidr, bool keep_first, struct err *e)
{
    struct ip_range *r;
    unsigned n_bits, all;
    struct cidr c;
    size_t n;

    if (!cidr || !cidr_parse(&c, str_of(cidr)))
        return err_set(e, ERR_INVALID, "\"%.60s\" is not a network like 10.43.0.0/16",
                       cidr ? cidr : "");
    all = cidr_family_bits(c.family);
    n_bits = all - c.prefix_bits;
    if (n_bits > IP_RANGE_BITS_MAX)
        return err_set(e, ERR_INVALID,
                       "%.60s is too large: of %u bits the mask must have %u at least", cidr, all,
                       all - IP_RANGE_BITS_MAX);
    if (n_bits < IP_RANGE_BITS_MIN)
        return err_set(e, ERR_INVALID, "%.60s is too small: it must have %u addresses at least",
                       cidr, 1u << IP_RANGE_BITS_MIN);
    r = mem_alloc(sizeof *r);
    r->net = c;
    n = (size_t)1 << n_bits;
    cidr_nth(r->text, &c, 0);
    snprintf(r->text + strlen(r->text), sizeof r->text - strlen(r->text), "/%u", c.prefix_bits);
    r->slots = slots_new(c.family == AF_INET ? n - 2 : MIN(n - 1, (size_t)IP_RANGE_V6_N_MAX),
                         n_lower(n), keep_first ? 1 : 0);
    *out = r;
    return 0;
}

void ip_range_free(struct ip_range *r)
{
    if (!r)
        return;
    slots_free(r->slots);
    free(r);
}

int ip_range_family(const struct ip_range *r)
{
    return r->net.family;
}

struct slots *ip_range_slots(struct ip_range *r)
{
    return r->slots;
}

size_t ip_range_place(const struct ip_range *r, const char *ip)
{
    struct cidr a;
    uint32_t low;

    if (!cidr_parse_address(&a, str_of(ip)) || !cidr_has(&r->net, &a))
        return SIZE_MAX;
    memcpy(&low, a.ip + cidr_family_bits(a.family) / 8 - sizeof low, sizeof low);
    low = ntohl(low) & ((1u << (a.prefix_bits - r->net.prefix_bits)) - 1);
    return (size_t)low - 1; /* the network's own: none */
}

int ip_range_take(struct ip_range *r, const char *ip, struct err *e)
{
    size_t i = ip_range_place(r, ip);

    if (!slots_has(r->slots, i))
        return err_set(e, ERR_INVALID,
                       "the provided IP (%s) is not in the valid range. The range of valid IPs is "
                       "%s",
                       ip, r->text);
    if (!slots_take(r->slots, i))
        return err_set(e, ERR_EXISTS, "provided IP is already allocated");
    return 0;
}

int ip_range_take_any(struct ip_range *r, char out[INET6_ADDRSTRLEN], struct err *e)
{
    size_t i;

    if (!slots_take_any(r->slots, &i))
        return err_set(e, ERR_LIMIT, "failed to allocate a serviceIP: range is full");
    cidr_nth(out, &r->net, (unsigned)i + 1);
    return 0;
}
