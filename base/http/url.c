#include "base/http/url.h"

#include <stdio.h>

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_unreserved(unsigned char c)
{
    return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* ---- host and port ---- */

static bool is_host(struct str s) /* DNS name or IPv4; '_' is in use although no RFC allows it */
{
    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!is_alnum((unsigned char)c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

static bool is_v6(struct str s) /* plausible; whoever dials parses it wholly */
{
    size_t n_colons = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%') /* zone: %eth0 */
            return n_colons >= 2 && i + 1 < s.n && is_host(str_n(s.p + i + 1, s.n - i - 1));
        if (str_hex_digit(s.p[i]) < 0 && s.p[i] != ':' && s.p[i] != '.')
            return false;
        n_colons += s.p[i] == ':';
    }
    return s.n <= 45 && n_colons >= 2;
}

static bool port_parse(uint16_t *port, struct str s)
{
    uint64_t v;

    if (s.n > 5 || !str_to_u64(s, &v) || v == 0 || v > 65535)
        return false;
    *port = (uint16_t)v;
    return true;
}

int url_split_host_port(struct str *host, uint16_t *port, struct str text, uint16_t port_default,
                        struct err *e)
{
    struct str h, rest;
    uint16_t p = port_default;
    bool has_port;

    if (text.n > 0 && text.p[0] == '[') {
        if (!str_cut(str_n(text.p + 1, text.n - 1), ']', &h, &rest) || !is_v6(h))
            return err_set(e, ERR_INVALID, "\"" STR_FMT "\": bad IPv6 address", STR_ARG(text));
        has_port = rest.n > 0;
        if (has_port && rest.p[0] != ':')
            return err_set(e, ERR_INVALID, "\"" STR_FMT "\": no port after ']'", STR_ARG(text));
        if (has_port)
            rest = str_n(rest.p + 1, rest.n - 1);
    } else {
        has_port = str_cut(text, ':', &h, &rest);
        if (!is_host(h))
            return err_set(e, ERR_INVALID, "\"" STR_FMT "\": bad host name", STR_ARG(text));
    }
    if (has_port ? !port_parse(&p, rest) : p == 0)
        return err_set(e, ERR_INVALID, "\"" STR_FMT "\": %s", STR_ARG(text),
                       has_port ? "bad port" : "port is missing");
    *host = h;
    *port = p;
    return 0;
}

int url_join_host_port(struct buf *out, struct str host, uint16_t port)
{
    if (host.n > 0 && memchr(host.p, ':', host.n))
        return buf_addf(out, "[" STR_FMT "]:%u", STR_ARG(host), port);
    return buf_addf(out, STR_FMT ":%u", STR_ARG(host), port);
}

/* ---- whole URLs ---- */

static const struct {
    const char *name;
    uint16_t port;
    bool tls;
} schemes[] = {
    { "http", 80, false },
    { "https", 443, true },
    { "ws", 80, false },
    { "wss", 443, true },
};

static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
        if (c == '%' &&
            (i + 2 >= s.n || str_hex_digit(s.p[i + 1]) < 0 || str_hex_digit(s.p[i + 2]) < 0))
            return false;
    }
    return true;
}

int url_parse(struct url *out, struct str text, struct err *e)
{
    struct url u = { 0 };
    struct str rest, authority;
    size_t n = 0, i;

    if (text.n > URL_MAX_BYTES)
        return err_set(e, ERR_INVALID, "URL is longer than %d bytes", URL_MAX_BYTES);
    if (!str_cut_str(text, STR("://"), &u.scheme, &rest))
        return err_set(e, ERR_INVALID, "URL \"" STR_FMT "\" has no scheme", STR_ARG(text));
    for (i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_eq_nocase(u.scheme, str_of(schemes[i].name)))
            break;
    if (i == ARRAY_LEN(schemes))
        return err_set(e, ERR_INVALID, "URL \"" STR_FMT "\": scheme is not http(s) or ws(s)",
                       STR_ARG(text));
    u.tls = schemes[i].tls;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?' && rest.p[n] != '#')
        n++;
    authority = str_n(rest.p, n);
    if (n > 0 && memchr(authority.p, '@', n)) /* may hold a password: not quoted */
        return err_set(e, ERR_INVALID, "URL holds user information");
    if (url_split_host_port(&u.host, &u.port, authority, schemes[i].port, e))
        return err_wrap(e, "URL");
    u.target = n < rest.n ? str_n(rest.p + n, rest.n - n) : STR("/");
    if (u.target.p[0] != '/' || !is_target(u.target))
        return err_set(e, ERR_INVALID, "URL \"" STR_FMT "\": bad path or query", STR_ARG(text));
    str_cut(u.target, '?', &u.path, &u.query);
    *out = u;
    return 0;
}

/* ---- percent-encoding ---- */

int url_encode(struct buf *out, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = s.n;

    for (size_t i = 0; i < s.n; i++)
        n += is_unreserved((unsigned char)s.p[i]) ? 0 : 2;
    if (buf_reserve(out, n))
        return ERR_LIMIT;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(c)) {
            out->p[out->n++] = (char)c;
        } else {
            out->p[out->n++] = '%';
            out->p[out->n++] = hex[c >> 4];
            out->p[out->n++] = hex[c & 15];
        }
    }
    out->p[out->n] = '\0';
    return 0;
}

static int decode(struct buf *out, struct str s, bool plus_is_space)
{
    size_t n_before = out->n;

    if (buf_reserve(out, s.n)) /* decoded is never longer */
        return ERR_LIMIT;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = i + 2 < s.n ? str_hex_digit(s.p[i + 1]) : -1;
            int lo = i + 2 < s.n ? str_hex_digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) {
                out->n = n_before;
                out->p[n_before] = '\0';
                return ERR_INVALID;
            }
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out->p[out->n++] = c;
    }
    out->p[out->n] = '\0';
    return 0;
}

int url_decode(struct buf *out, struct str s)
{
    return decode(out, s, false);
}

int url_decode_query(struct buf *out, struct str s)
{
    return decode(out, s, true);
}

/* ---- query strings ---- */

bool url_query_next(struct str *rest, struct str *name, struct str *value)
{
    struct str pair;

    while (rest->n > 0) {
        str_cut(*rest, '&', &pair, rest);
        if (pair.n > 0) {
            str_cut(pair, '=', name, value);
            return true;
        }
    }
    return false;
}

int url_query_get(struct buf *out, struct str query, const char *name)
{
    struct str rest = query, n, v;

    while (url_query_next(&rest, &n, &v)) {
        auto_buf plain = BUF(URL_MAX_BYTES);
        if (n.n > URL_MAX_BYTES || url_decode_query(&plain, n))
            continue; /* not the name we look for */
        if (str_is(buf_str(&plain), name))
            return url_decode_query(out, v);
    }
    return ERR_NOT_FOUND;
}

int url_query_add(struct buf *out, const char *name, struct str value)
{
    size_t n_before = out->n;
    bool has_query = out->n > 0 && memchr(out->p, '?', out->n);
    bool is_open = out->n > 0 && (out->p[out->n - 1] == '?' || out->p[out->n - 1] == '&');

    if ((!is_open && buf_addc(out, has_query ? '&' : '?')) || url_encode(out, str_of(name)) ||
        buf_addc(out, '=') || url_encode(out, value)) {
        out->n = n_before;
        if (out->p)
            out->p[n_before] = '\0';
        return ERR_LIMIT;
    }
    return 0;
}
