/* Kubernetes' url, ip and cidr libraries (k8s.io/apiserver pkg/cel/library/{urls,ip,cidr}.go). */
#include "base/core/mem.h"
#include "base/http/url.h"
#include "server/cel/func.h"

#include <arpa/inet.h>
#include <ctype.h>

typedef struct cel_value value;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])
#define B        (c->args[1])

/* ---- URLs, as Go's url.ParseRequestURI reads them ---- */

/* "https:" before something. *n: its length with the colon. */
static bool has_scheme(struct str s, size_t *n)
{
    size_t i = 0;

    while (i < s.n && (isalnum((unsigned char)s.p[i]) || (i && strchr("+-.", s.p[i]))))
        i++;
    *n = i + 1;
    return i && i < s.n && s.p[i] == ':' && isalpha((unsigned char)s.p[0]);
}

static bool escapes_are_fine(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '%' &&
            (s.n - i < 3 || str_hex_digit(s.p[i + 1]) < 0 || str_hex_digit(s.p[i + 2]) < 0))
            return false;
    return true;
}

/* "host", "host:80", "[::1]:80", with a user before it. */
static bool host_is_fine(struct str host)
{
    struct str name = host;
    size_t i = 0;

    for (size_t k = host.n; k-- > 0;)
        if (host.p[k] == '@') {
            name = str_n(host.p + k + 1, host.n - k - 1);
            break;
        }
    if (name.n && name.p[0] == '[') {
        while (i < name.n && name.p[i] != ']')
            i++;
        if (i++ == name.n)
            return false;
    } else {
        for (; i < name.n && name.p[i] != ':'; i++)
            if (strchr(" <>\"{}|\\^`[]", name.p[i]))
                return false;
    }
    if (i < name.n && name.p[i++] != ':')
        return false;
    for (; i < name.n; i++)
        if (!isdigit((unsigned char)name.p[i]))
            return false;
    return escapes_are_fine(name);
}

static bool url_read(struct cel_url *u, struct str s)
{
    struct str rest = s, query = { 0 };
    size_t n;

    *u = (struct cel_url){ 0 };
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    if (has_scheme(s, &n)) {
        u->scheme = str_n(s.p, n - 1);
        rest = str_n(s.p + n, s.n - n);
    } else if (!s.n || s.p[0] != '/') {
        return false;
    }
    if (!rest.n || rest.p[0] != '/')
        return u->scheme.n && rest.n; /* opaque: "mailto:x" */
    str_cut(rest, '?', &rest, &query);
    u->query = query;
    if (u->scheme.n && str_starts(rest, STR("//"))) {
        struct str host = str_n(rest.p + 2, rest.n - 2);
        const char *slash = memchr(host.p, '/', host.n);
        u->host = slash ? str_n(host.p, (size_t)(slash - host.p)) : host;
        rest = str_n(u->host.p + u->host.n, host.n - u->host.n);
        if (!host_is_fine(u->host))
            return false;
        for (size_t k = u->host.n; k-- > 0;)
            if (u->host.p[k] == '@') {
                u->host = str_n(u->host.p + k + 1, u->host.n - k - 1);
                break;
            }
    }
    u->path = rest;
    return escapes_are_fine(rest);
}

FN(url)
{
    struct cel_url *u = cel_run_alloc(r, 1, sizeof *u);

    if (!u)
        return cel_error(r, CEL_COST_EXCEEDED);
    if (!url_read(u, A.s))
        return cel_error(r,
                         "URL parse error during conversion from string: parse \"" STR_FMT
                         "\": invalid URI for request",
                         STR_ARG(A.s));
    return (value){ .kind = CEL_URL, .url = u };
}

FN(is_url)
{
    struct cel_url u;

    (void)r;
    return CEL_BOOL_OF(url_read(&u, A.s));
}

FN(get_scheme)
{
    return cel_str_copy(r, CEL_STRING, A.url->scheme);
}

FN(get_host)
{
    (void)r;
    return CEL_STR_OF(A.url->host);
}

/* Where the port's colon is; host.n: there is none. */
static size_t port_colon(struct str host)
{
    size_t i = host.n;

    while (i > 0 && isdigit((unsigned char)host.p[i - 1]))
        i--;
    return i > 0 && host.p[i - 1] == ':' ? i - 1 : host.n;
}

FN(get_hostname)
{
    struct str h = str_n(A.url->host.p, port_colon(A.url->host));

    (void)r;
    if (h.n > 1 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = str_n(h.p + 1, h.n - 2);
    return CEL_STR_OF(h);
}

FN(get_port)
{
    struct str h = A.url->host;
    size_t at = port_colon(h);

    (void)r;
    return CEL_STR_OF(at < h.n ? str_n(h.p + at + 1, h.n - at - 1) : STR(""));
}

FN(get_escaped_path)
{
    (void)r;
    return CEL_STR_OF(A.url->path);
}

static value decoded(struct cel_run *r, struct str s)
{
    auto_buf b = BUF(s.n + 1);

    return url_decode_query(&b, s) ? CEL_STR_OF(s) : cel_str_copy(r, CEL_STRING, buf_str(&b));
}

/* A map from each name to the list of its values, in the order in which they stand. */
FN(get_query)
{
    struct str rest = A.url->query, name, text;
    size_t n_pairs = 0, n = 0;
    value out = { .kind = CEL_MAP };

    while (url_query_next(&rest, &name, &text))
        n_pairs++;
    value *v = cel_run_alloc(r, 2 * n_pairs + 1, sizeof *v);
    value *items = cel_run_alloc(r, n_pairs * n_pairs + 1, sizeof *items);
    if (!v || !items)
        return cel_error(r, CEL_COST_EXCEEDED);
    rest = A.url->query;
    while (url_query_next(&rest, &name, &text) && !r->over) {
        value key = decoded(r, name), one = decoded(r, text), why;
        size_t at = 0;

        while (at < n && cel_equal(r, &v[2 * at], &key, &why) != 1)
            at++;
        if (at == n) {
            v[2 * n] = key;
            v[2 * n + 1] = (value){ .kind = CEL_LIST, .items = { .v = items + n * n_pairs } };
            n++;
        }
        items[at * n_pairs + v[2 * at + 1].items.n++] = one;
    }
    out.items = (struct cel_items){ .v = v, .n = n };
    return out;
}

/* ---- addresses: no zones, no IPv4 within IPv6, no leading zeros (netip and Kubernetes) ---- */

static const char *ip_read(struct cel_net *net, struct str s)
{
    char text[64];

    if (!s.p || !s.n || s.n >= sizeof text || memchr(s.p, '\0', s.n))
        return "unable to parse IP";
    if (memchr(s.p, '%', s.n))
        return "IP Address with zone value is not allowed";
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *net = (struct cel_net){ 0 };
    if (inet_pton(AF_INET, text, net->ip) == 1)
        net->cidr.family = AF_INET;
    else if (inet_pton(AF_INET6, text, net->ip) == 1)
        net->cidr.family = AF_INET6;
    else
        return "unable to parse IP";
    if (net->cidr.family == AF_INET6 && memcmp(net->ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
        return "IPv4-mapped IPv6 address is not allowed";
    memcpy(net->cidr.ip, net->ip, sizeof net->ip);
    net->cidr.prefix_bits = cidr_family_bits(net->cidr.family);
    return NULL;
}

static void mask(unsigned char ip[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++)
        if (i * 8 + 8 > bits)
            ip[i] = (unsigned char)(i * 8 >= bits ? 0 : ip[i] & (0xff00U >> (bits - i * 8)));
}

static const char *cidr_read(struct cel_net *net, struct str s)
{
    struct str ip, bits;
    const char *why;
    uint64_t n;

    if (!str_cut(s, '/', &ip, &bits))
        return "no '/'";
    if ((why = ip_read(net, ip)))
        return why;
    if (!str_to_u64(bits, &n) || (bits.n > 1 && bits.p[0] == '0') ||
        n > cidr_family_bits(net->cidr.family))
        return "bad bits after slash";
    net->cidr.prefix_bits = (unsigned)n;
    mask(net->cidr.ip, net->cidr.prefix_bits);
    return NULL;
}

static value net_value(struct cel_run *r, enum cel_kind kind, const struct cel_net *net)
{
    struct cel_net *of = cel_run_alloc(r, 1, sizeof *of);

    if (!of)
        return cel_error(r, CEL_COST_EXCEEDED);
    *of = *net;
    return (value){ .kind = kind, .net = of };
}

FN(ip)
{
    struct cel_net net;
    const char *why = ip_read(&net, A.s);

    if (why)
        return cel_error(r,
                         "IP Address \"" STR_FMT "\" parse error during conversion from string: %s",
                         STR_ARG(A.s), why);
    return net_value(r, CEL_IP, &net);
}

FN(is_ip)
{
    struct cel_net net;

    (void)r;
    return CEL_BOOL_OF(!ip_read(&net, A.s));
}

FN(is_canonical)
{
    char text[INET6_ADDRSTRLEN];
    struct cel_net net;
    const char *why = ip_read(&net, A.s);

    if (why)
        return cel_error(r,
                         "IP Address \"" STR_FMT "\" parse error during conversion from string: %s",
                         STR_ARG(A.s), why);
    inet_ntop(net.cidr.family, net.ip, text, sizeof text);
    return CEL_BOOL_OF(str_is(A.s, text));
}

FN(family)
{
    (void)r;
    return CEL_INT_OF(A.net->cidr.family == AF_INET ? 4 : 6);
}

static bool is_v4(const value *v)
{
    return v->net->cidr.family == AF_INET;
}

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static bool unspecified(const value *v)
{
    return all_zero(v->net->ip, 16);
}

static bool loopback(const value *v)
{
    const unsigned char *p = v->net->ip;

    return is_v4(v) ? p[0] == 127 : all_zero(p, 15) && p[15] == 1;
}

static bool link_multicast(const value *v)
{
    const unsigned char *p = v->net->ip;

    return is_v4(v) ? p[0] == 224 && p[1] == 0 && p[2] == 0 : p[0] == 0xff && (p[1] & 0x0f) == 2;
}

static bool link_unicast(const value *v)
{
    const unsigned char *p = v->net->ip;

    return is_v4(v) ? p[0] == 169 && p[1] == 254 : p[0] == 0xfe && (p[1] & 0xc0) == 0x80;
}

static bool multicast(const value *v)
{
    return is_v4(v) ? (v->net->ip[0] & 0xf0) == 0xe0 : v->net->ip[0] == 0xff;
}

static bool global_unicast(const value *v)
{
    static const unsigned char broadcast[4] = { 255, 255, 255, 255 };

    return !(is_v4(v) && memcmp(v->net->ip, broadcast, 4) == 0) && !unspecified(v) &&
           !loopback(v) && !multicast(v) && !link_unicast(v);
}

#define QUESTION(fn, ask)                                                                          \
    FN(fn)                                                                                         \
    {                                                                                              \
        (void)r;                                                                                   \
        return CEL_BOOL_OF(ask(&A));                                                               \
    }
QUESTION(is_unspecified, unspecified)
QUESTION(is_loopback, loopback)
QUESTION(is_link_multicast, link_multicast)
QUESTION(is_link_unicast, link_unicast)
QUESTION(is_global_unicast, global_unicast)

/* ---- blocks ---- */

FN(cidr)
{
    struct cel_net net;
    const char *why = cidr_read(&net, A.s);

    if (why)
        return cel_error(r, "network address parse error during conversion from string: %s", why);
    return net_value(r, CEL_CIDR, &net);
}

FN(is_cidr)
{
    struct cel_net net;

    (void)r;
    return CEL_BOOL_OF(!cidr_read(&net, A.s));
}

FN(contains_net)
{
    (void)r;
    return CEL_BOOL_OF(cidr_has(&A.net->cidr, &B.net->cidr));
}

FN(contains_ip_text)
{
    struct cel_net net;
    const char *why = ip_read(&net, B.s);

    if (why)
        return cel_error(r,
                         "IP Address \"" STR_FMT "\" parse error during conversion from string: %s",
                         STR_ARG(B.s), why);
    return CEL_BOOL_OF(cidr_has(&A.net->cidr, &net.cidr));
}

FN(contains_cidr_text)
{
    struct cel_net net;
    const char *why = cidr_read(&net, B.s);

    if (why)
        return cel_error(r, "network address parse error during conversion from string: %s", why);
    return CEL_BOOL_OF(cidr_has(&A.net->cidr, &net.cidr));
}

FN(cidr_ip)
{
    struct cel_net net = *A.net;

    memcpy(net.cidr.ip, net.ip, sizeof net.ip);
    net.cidr.prefix_bits = cidr_family_bits(net.cidr.family);
    return net_value(r, CEL_IP, &net);
}

FN(prefix_length)
{
    (void)r;
    return CEL_INT_OF(A.net->cidr.prefix_bits);
}

FN(masked)
{
    struct cel_net net = *A.net;

    memcpy(net.ip, net.cidr.ip, sizeof net.ip);
    return net_value(r, CEL_CIDR, &net);
}

const struct cel_fn cel_lib_net[] = {
    { "url", false, "s:U", url, PRICE_ARG0 },
    { "isURL", false, "s:b", is_url, PRICE_ONE },
    { "getScheme", true, "U:s", get_scheme, PRICE_ONE },
    { "getHost", true, "U:s", get_host, PRICE_ONE },
    { "getHostname", true, "U:s", get_hostname, PRICE_ONE },
    { "getPort", true, "U:s", get_port, PRICE_ONE },
    { "getEscapedPath", true, "U:s", get_escaped_path, PRICE_ONE },
    { "getQuery", true, "U:MsLs", get_query, PRICE_ONE },
    { "ip", false, "s:p", ip, PRICE_PARSE },
    { "ip", true, "c:p", cidr_ip, PRICE_ONE },
    { "isIP", false, "s:b", is_ip, PRICE_PARSE },
    { "ip.isCanonical", false, "s:b", is_canonical, PRICE_PARSE_2 },
    { "family", true, "p:i", family, PRICE_ONE },
    { "isUnspecified", true, "p:b", is_unspecified, PRICE_ONE },
    { "isLoopback", true, "p:b", is_loopback, PRICE_ONE },
    { "isLinkLocalMulticast", true, "p:b", is_link_multicast, PRICE_ONE },
    { "isLinkLocalUnicast", true, "p:b", is_link_unicast, PRICE_ONE },
    { "isGlobalUnicast", true, "p:b", is_global_unicast, PRICE_ONE },
    { "cidr", false, "s:c", cidr, PRICE_PARSE },
    { "isCIDR", false, "s:b", is_cidr, PRICE_PARSE },
    { "containsIP", true, "cp:b", contains_net, PRICE_CIDR_IP },
    { "containsIP", true, "cs:b", contains_ip_text, PRICE_CIDR_IP },
    { "containsCIDR", true, "cc:b", contains_net, PRICE_CIDR_CIDR },
    { "containsCIDR", true, "cs:b", contains_cidr_text, PRICE_CIDR_CIDR },
    { "prefixLength", true, "c:i", prefix_length, PRICE_ONE },
    { "masked", true, "c:c", masked, PRICE_ONE },
    { 0 },
};
