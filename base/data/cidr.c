#include "base/data/cidr.h"

#include <arpa/inet.h>
#include <string.h>

unsigned cidr_family_bits(int family)
{
    return family == AF_INET ? 32 : 128;
}

bool cidr_parse_address(struct cidr *out, struct str text)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff }; /* RFC 4291 2.5.5.2 */
    struct cidr c = { 0 };
    char name[INET6_ADDRSTRLEN];

    if (text.n >= sizeof name || memchr(text.p, '\0', text.n))
        return false;
    memcpy(name, text.p, text.n);
    name[text.n] = '\0';
    c.family = memchr(name, ':', text.n) ? AF_INET6 : AF_INET;
    c.prefix_bits = cidr_family_bits(c.family);
    if (inet_pton(c.family, name, c.ip) != 1)
        return false;
    if (c.family == AF_INET6 && memcmp(c.ip, mapped, sizeof mapped) == 0) {
        memmove(c.ip, c.ip + sizeof mapped, 4);
        memset(c.ip + 4, 0, 12);
        c.family = AF_INET;
        c.prefix_bits = 32;
    }
    *out = c;
    return true;
}

bool cidr_parse(struct cidr *out, struct str text)
{
    struct str address, bits;
    struct cidr c;
    uint64_t n;

    if (!str_cut(text, '/', &address, &bits) || !str_to_u64(bits, &n) ||
        !cidr_parse_address(&c, address) || n > c.prefix_bits)
        return false;
    c.prefix_bits = (unsigned)n;
    for (unsigned i = c.prefix_bits; i < 128; i++)
        c.ip[i / 8] &= (unsigned char)~(0x80 >> i % 8);
    *out = c;
    return true;
}

bool cidr_has(const struct cidr *outer, const struct cidr *inner)
{
    unsigned whole = outer->prefix_bits / 8, rest = outer->prefix_bits % 8;

    if (outer->family != inner->family || inner->prefix_bits < outer->prefix_bits ||
        memcmp(outer->ip, inner->ip, whole) != 0)
        return false;
    return rest == 0 || (outer->ip[whole] ^ inner->ip[whole]) >> (8 - rest) == 0;
}

void cidr_nth(char *out, const struct cidr *c, unsigned n)
{
    unsigned char ip[16];

    memcpy(ip, c->ip, sizeof ip);
    for (unsigned i = cidr_family_bits(c->family) / 8; n && i--;) {
        n += ip[i];
        ip[i] = (unsigned char)n;
        n >>= 8;
    }
    inet_ntop(c->family, ip, out, INET6_ADDRSTRLEN);
}
