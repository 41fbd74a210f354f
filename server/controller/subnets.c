#include "server/controller/subnets.h"

#include "base/core/mem.h"
#include "base/data/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>

struct subnets {
    struct cidr base;
    unsigned bits; /* of a node's part: 24 or 64 */
    uint32_t n, next;
    uint16_t *holders; /* two Nodes that claim the same part: free when both are gone */
    char *cidr;
};

static bool bit_get(const unsigned char *addr, unsigned i)
{
    return addr[i / 8] >> (7 - i % 8) & 1;
}

static void bit_set(unsigned char *addr, unsigned i, bool on)
{
    unsigned char mask = (unsigned char)(1u << (7 - i % 8));

    addr[i / 8] = (unsigned char)(on ? addr[i / 8] | mask : addr[i / 8] & ~mask);
}

/* The number of the part that text names; -1 when it is none. */
static int64_t index_of(const struct subnets *s, const char *text)
{
    struct cidr part;
    uint32_t index = 0;
    bool in_index = false;

    if (!cidr_parse(&part, str_of(text)) || part.family != s->base.family ||
        part.prefix_bits != s->bits)
        return -1;
    for (unsigned i = 0; i < cidr_family_bits(part.family); i++) {
        uint32_t span = 1; /* how many parts the bits from i on can tell apart */

        if (i < s->bits)
            span = s->bits - i < 17 ? 1u << (s->bits - i) : SUBNETS_MAX * 2;
        in_index = i < s->bits && span <= s->n;
        if (in_index)
            index = index << 1 | bit_get(part.ip, i);
        else if (bit_get(part.ip, i) != bit_get(s->base.ip, i))
            return -1;
    }
    return index < s->n ? (int64_t)index : -1;
}

static void text_of(const struct subnets *s, uint32_t index, char out[SUBNET_TEXT_BYTES])
{
    unsigned char addr[16];
    char ip[INET6_ADDRSTRLEN];

    memcpy(addr, s->base.ip, sizeof addr);
    for (unsigned i = 0; i < 16 && i < s->bits && index >> i; i++)
        bit_set(addr, s->bits - 1 - i, index >> i & 1);
    inet_ntop(s->base.family, addr, ip, sizeof ip);
    snprintf(out, SUBNET_TEXT_BYTES, "%s/%u", ip, s->bits);
}

int subnets_new(struct subnets **out, const char *cidr, struct err *e)
{
    struct subnets *s;
    struct cidr base;
    unsigned bits;

    if (!cidr_parse(&base, str_of(cidr)))
        return err_set(e, ERR_INVALID, "\"%s\" is not a network like 10.42.0.0/16", cidr);
    bits = base.family == AF_INET ? 24 : 64;
    if (base.prefix_bits > bits)
        return err_set(e, ERR_INVALID, "%s is smaller than the /%u that each node gets", cidr,
                       bits);
    s = mem_alloc(sizeof *s);
    s->base = base;
    s->bits = bits;
    s->n = bits - base.prefix_bits < 16 ? 1u << (bits - base.prefix_bits) : SUBNETS_MAX;
    s->holders = mem_calloc(s->n, sizeof *s->holders);
    s->cidr = mem_strdup(cidr);
    *out = s;
    return 0;
}

void subnets_free(struct subnets *s)
{
    if (!s)
        return;
    free(s->cidr);
    free(s->holders);
    free(s);
}

bool subnets_hold(struct subnets *s, const char *text)
{
    int64_t i = index_of(s, text);

    if (i < 0 || s->holders[i] == UINT16_MAX)
        return false;
    s->holders[i]++;
    return true;
}

void subnets_release(struct subnets *s, const char *text)
{
    int64_t i = index_of(s, text);

    if (i >= 0 && s->holders[i] > 0)
        s->holders[i]--;
}

int subnets_take(struct subnets *s, char out[SUBNET_TEXT_BYTES], struct err *e)
{
    for (uint32_t k = 0; k < s->n; k++) {
        uint32_t i = (s->next + k) % s->n;

        if (s->holders[i])
            continue;
        s->holders[i] = 1;
        s->next = (i + 1) % s->n;
        text_of(s, i, out);
        return 0;
    }
    return err_set(e, ERR_LIMIT, "all %u pod networks of %s are taken", s->n, s->cidr);
}
