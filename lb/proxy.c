#include "lb/proxy.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/http/url.h"
#include "lb/names.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { HTTP_ANSWER, SOCKS_METHOD, SOCKS_AUTH, SOCKS_REPLY };

void lb_proxy_deinit(struct lb_proxy *p)
{
    explicit_bzero(p, sizeof *p);
}

/* ---- settings ----------------------------------------------------------------------------------
 */

static int decode(char out[LB_PROXY_SECRET_BYTES], struct str s, struct err *e)
{
    auto_buf b = BUF_SECRET(LB_PROXY_SECRET_BYTES - 1);

    if (url_decode(&b, s))
        return err_set(e, ERR_INVALID, "proxy: its user or password is too long or badly escaped");
    memcpy(out, buf_cstr(&b), b.n);
    out[b.n] = '\0';
    return 0;
}

int lb_proxy_parse(struct lb_proxy *out, struct str url, struct err *e)
{
    struct lb_proxy p = { .kind = LB_PROXY_HTTP };
    struct str scheme, rest, user, password, path, host;
    uint16_t port_default = 80, port;
    auto_buf address = BUF(sizeof p.address - 1);
    const char *at;

    if (str_cut_str(url, STR("://"), &scheme, &rest)) {
        if (str_eq_nocase(scheme, STR("socks5")) || str_eq_nocase(scheme, STR("socks5h"))) {
            p.kind = LB_PROXY_SOCKS5;
            port_default = 1080;
        } else if (!str_eq_nocase(scheme, STR("http"))) {
            bool sane = scheme.n <= 20 && !memchr(scheme.p, '@', scheme.n);
            return err_set(e, ERR_INVALID,
                           "proxy: " STR_FMT ":// is not supported, only http:// and socks5://",
                           STR_ARG(sane ? scheme : STR("that")));
        }
    } else {
        rest = url;
    }
    str_cut(rest, '/', &rest, &path);
    at = rest.n ? memrchr(rest.p, '@', rest.n) : NULL;
    if (at) {
        struct str info = str_n(rest.p, (size_t)(at - rest.p));
        rest = str_n(at + 1, rest.n - info.n - 1);
        p.has_user = true;
        str_cut(info, ':', &user, &password);
        if (decode(p.user, user, e) || decode(p.password, password, e)) {
            lb_proxy_deinit(&p);
            return (int)e->code;
        }
    }
    if (url_split_host_port(&host, &port, rest, port_default, e) || !host.n ||
        host.n >= LB_PROXY_HOST_BYTES || url_join_host_port(&address, host, port)) {
        lb_proxy_deinit(&p);
        return err_set(e, ERR_INVALID, "proxy: its address is not host or host:port");
    }
    memcpy(p.address, buf_cstr(&address), address.n);
    *out = p;
    lb_proxy_deinit(&p);
    return 0;
}

/* ---- whom it is for ----------------------------------------------------------------------------
 */

static bool ip_of(const char *host, uint8_t out[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    memcpy(out, mapped, sizeof mapped);
    return inet_pton(AF_INET, host, out + 12) == 1 || inet_pton(AF_INET6, host, out) == 1;
}

static bool in_network(const uint8_t ip[16], const uint8_t net[16], unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if ((ip[i / 8] ^ net[i / 8]) >> (7 - i % 8) & 1)
            return false;
    return true;
}

static bool is_v4(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    return memcmp(ip, mapped, sizeof mapped) == 0;
}

static bool is_loopback(const uint8_t ip[16])
{
    static const uint8_t v6[16] = { [15] = 1 };

    return is_v4(ip) ? ip[12] == 127 : memcmp(ip, v6, sizeof v6) == 0;
}

static bool matches(struct str rule, const char *host, const char *port)
{
    uint8_t ip[16], net[16];
    bool host_is_ip = ip_of(host, ip), only_below;
    struct str name = rule, bits_text, tail = STR("");
    char text[LB_PROXY_HOST_BYTES];
    uint64_t bits;

    if (str_is(rule, "*"))
        return true;
    if (str_cut(rule, '/', &name, &bits_text)) {
        snprintf(text, sizeof text, STR_FMT, STR_ARG(name));
        return host_is_ip && ip_of(text, net) && str_to_u64(bits_text, &bits) &&
               is_v4(ip) == is_v4(net) && bits <= (is_v4(net) ? 32u : 128u) &&
               in_network(ip, net, (unsigned)bits + (is_v4(net) ? 96 : 0));
    }
    /* "host:port" or "[v6]:port"; a bare IPv6 address has several colons */
    const char *colon = rule.n ? memrchr(rule.p, ':', rule.n) : NULL;
    if (colon && (rule.p[0] == '[' || memchr(rule.p, ':', rule.n) == colon)) {
        size_t n = (size_t)(colon - rule.p);
        if (rule.p[0] != '[' || rule.p[n - 1] == ']') {
            name = str_n(rule.p, n);
            tail = str_n(colon + 1, rule.n - n - 1);
        }
    }
    if (tail.n && !str_is(tail, port))
        return false;
    if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = str_n(name.p + 1, name.n - 2);
    if (!name.p || !name.n || name.n >= sizeof text)
        return false;
    snprintf(text, sizeof text, STR_FMT, STR_ARG(name));
    if (ip_of(text, net))
        return host_is_ip && memcmp(ip, net, sizeof ip) == 0;
    if (host_is_ip)
        return false;
    if (str_starts(name, STR("*.")))
        name = str_n(name.p + 1, name.n - 1);
    only_below = name.p[0] == '.';
    if (only_below)
        name = str_n(name.p + 1, name.n - 1);
    struct str h = str_of(host);
    if (name.n && h.n > name.n && h.p[h.n - name.n - 1] == '.' &&
        str_eq_nocase(str_n(h.p + h.n - name.n, name.n), name))
        return true;
    return !only_below && str_eq_nocase(h, name);
}

bool lb_proxy_bypassed(const char *server, const char *no_proxy)
{
    char host[LB_PROXY_HOST_BYTES], port[6];
    struct str rest = str_of(no_proxy), rule;
    uint8_t ip[16];

    if (!lb_address_split(server, host, sizeof host, port))
        return true;
    if (str_eq_nocase(str_of(host), STR("localhost")) || (ip_of(host, ip) && is_loopback(ip)))
        return true;
    while (rest.n) {
        str_cut(rest, ',', &rule, &rest);
        if (matches(str_trim(rule), host, port))
            return true;
    }
    return false;
}

int lb_proxy_choose(struct lb_proxy *out, const char *server, const char *allowed,
                    const char *https_proxy, const char *no_proxy, struct err *e)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" }; /* Go's ParseBool */
    bool ok = false;

    for (size_t i = 0; allowed && i < ARRAY_LEN(yes); i++)
        ok |= strcmp(allowed, yes[i]) == 0;
    *out = (struct lb_proxy){ 0 };
    if (!ok || !https_proxy || !*https_proxy || lb_proxy_bypassed(server, no_proxy))
        return 0;
    if (lb_proxy_parse(out, str_of(https_proxy), e))
        return err_wrap(e, "HTTPS_PROXY (allowed by K3S_AGENT_HTTP_PROXY_ALLOWED)");
    return 0;
}

static const char *env2(const char *upper, const char *lower)
{
    const char *v = getenv(upper);

    return v && *v ? v : getenv(lower);
}

int lb_proxy_from_env(struct lb_proxy *out, const char *server, struct err *e)
{
    return lb_proxy_choose(out, server, getenv("K3S_AGENT_HTTP_PROXY_ALLOWED"),
                           env2("HTTPS_PROXY", "https_proxy"), env2("NO_PROXY", "no_proxy"), e);
}

/* ---- the talk ----------------------------------------------------------------------------------
 */

static int begin_http(const struct lb_proxy_talk *t, struct buf *out)
{
    int r = buf_addf(out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", t->target, t->target);

    if (!r && t->proxy->has_user) {
        auto_buf plain = BUF_SECRET(2 * LB_PROXY_SECRET_BYTES);
        r = buf_addf(&plain, "%s:%s", t->proxy->user, t->proxy->password);
        r = r ? r : buf_adds(out, "Proxy-Authorization: Basic ");
        r = r ? r : base64_add(out, buf_str(&plain));
        r = r ? r : buf_adds(out, "\r\n");
    }
    return r ? r : buf_adds(out, "\r\n");
}

int lb_proxy_begin(struct lb_proxy_talk *t, const struct lb_proxy *p, const char *target,
                   struct buf *out, struct err *e)
{
    int r;

    *t = (struct lb_proxy_talk){ .proxy = p, .target = target };
    if (p->kind == LB_PROXY_HTTP) {
        t->state = HTTP_ANSWER;
        r = begin_http(t, out);
    } else {
        t->state = SOCKS_METHOD;
        r = p->has_user ? buf_add(out, "\x05\x02\x00\x02", 4) : buf_add(out, "\x05\x01\x00", 3);
    }
    return r ? err_set(e, ERR_LIMIT, "proxy: the request is too long") : 0;
}

static enum lb_proxy_step broken(struct err *e, const char *what)
{
    err_set(e, ERR_PROTOCOL, "proxy: %s", what);
    return LB_PROXY_FAILED;
}

/* "HTTP/1.1 200 Connection established", headers, an empty line. */
static enum lb_proxy_step feed_http(struct str in, size_t *n_used, struct err *e)
{
    const char *end = in.n ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
    struct str line, rest;
    uint64_t status = 0;

    if (in.n && memcmp(in.p, "HTTP/1.", MIN(in.n, (size_t)7)) != 0)
        return broken(e, "it does not speak HTTP");
    if (!end) {
        if (in.n >= LB_PROXY_ANSWER_MAX)
            return broken(e, "its answer to CONNECT has no end");
        return LB_PROXY_MORE;
    }
    *n_used = (size_t)(end - in.p) + 4;
    str_cut_str(in, STR("\r\n"), &line, &rest);
    if (line.n < 12 || line.p[8] != ' ' || !str_to_u64(str_n(line.p + 9, 3), &status) ||
        (line.n > 12 && line.p[12] != ' '))
        return broken(e, "its answer to CONNECT has no status");
    if (status >= 200 && status < 300)
        return LB_PROXY_OPEN;
    if (status == 407)
        err_set(e, ERR_DENIED, "proxy: it wants a user and a password that it accepts (HTTP 407)");
    else
        err_set(e, ERR_IO, "proxy: it cannot open the connection (HTTP %u)", (unsigned)status);
    return LB_PROXY_FAILED;
}

static enum lb_proxy_step socks_connect(struct lb_proxy_talk *t, struct buf *out, struct err *e)
{
    char host[LB_PROXY_HOST_BYTES], port_text[6];
    struct lb_addr a;
    uint64_t port = 0;
    int r;

    if (!lb_address_split(t->target, host, sizeof host, port_text) || strlen(host) > 255 ||
        !str_to_u64(str_of(port_text), &port))
        return broken(e, "the target is not host:port");
    r = buf_add(out, "\x05\x01\x00", 3);
    if (lb_addr_parse(&a, t->target)) {
        bool v4 = a.u.any.sa_family == AF_INET;
        r = r ? r : buf_addc(out, v4 ? 1 : 4);
        r = r ? r
              : buf_add(out, v4 ? (void *)&a.u.v4.sin_addr : (void *)&a.u.v6.sin6_addr,
                        v4 ? 4 : 16);
    } else {
        r = r ? r : buf_addc(out, 3);
        r = r ? r : buf_addc(out, (char)strlen(host));
        r = r ? r : buf_adds(out, host);
    }
    r = r ? r : buf_addc(out, (char)(port >> 8));
    r = r ? r : buf_addc(out, (char)(port & 255));
    t->state = SOCKS_REPLY;
    return r ? broken(e, "the request is too long") : LB_PROXY_MORE;
}

static enum lb_proxy_step socks_method(struct lb_proxy_talk *t, struct str in, size_t *n_used,
                                       struct buf *out, struct err *e)
{
    const struct lb_proxy *p = t->proxy;
    int r;

    if (in.n && in.p[0] != 5)
        return broken(e, "it does not speak SOCKS 5");
    if (in.n < 2)
        return LB_PROXY_MORE;
    *n_used = 2;
    if (in.p[1] == 0)
        return socks_connect(t, out, e);
    if (in.p[1] != 2 || !p->has_user) {
        err_set(e, ERR_DENIED, "proxy: it wants %s",
                p->has_user ? "a kind of login that is not supported" : "a user and a password");
        return LB_PROXY_FAILED;
    }
    r = buf_addc(out, 1);
    r = r ? r : buf_addc(out, (char)strlen(p->user));
    r = r ? r : buf_adds(out, p->user);
    r = r ? r : buf_addc(out, (char)strlen(p->password));
    r = r ? r : buf_adds(out, p->password);
    t->state = SOCKS_AUTH;
    return r ? broken(e, "the request is too long") : LB_PROXY_MORE;
}

static enum lb_proxy_step socks_reply(struct str in, size_t *n_used, struct err *e)
{
    static const char *const why[] = { "",
                                       "it failed",
                                       "its rules forbid the connection",
                                       "it finds the network unreachable",
                                       "it finds the host unreachable",
                                       "the server refused it",
                                       "the connection took too long",
                                       "it does not know CONNECT",
                                       "it does not know this kind of address" };
    const uint8_t *b = (const uint8_t *)in.p;
    size_t n_addr;

    if (in.n && b[0] != 5)
        return broken(e, "it does not speak SOCKS 5");
    if (in.n >= 2 && b[1]) {
        err_set(e, b[1] == 2 ? ERR_DENIED : ERR_IO, "proxy: %s (SOCKS reply %u)",
                b[1] < ARRAY_LEN(why) ? why[b[1]] : "it failed", b[1]);
        return LB_PROXY_FAILED;
    }
    if (in.n < 5)
        return LB_PROXY_MORE;
    n_addr = b[3] == 1 ? 4u : b[3] == 4 ? 16u : b[3] == 3 ? 1u + b[4] : 0u;
    if (!n_addr)
        return broken(e, "its reply holds an unknown kind of address");
    if (in.n < 4 + n_addr + 2)
        return LB_PROXY_MORE;
    *n_used = 4 + n_addr + 2;
    return LB_PROXY_OPEN;
}

enum lb_proxy_step lb_proxy_feed(struct lb_proxy_talk *t, struct str in, size_t *n_used,
                                 struct buf *out, struct err *e)
{
    *n_used = 0;
    switch (t->state) {
    case HTTP_ANSWER:
        return feed_http(in, n_used, e);
    case SOCKS_METHOD:
        return socks_method(t, in, n_used, out, e);
    case SOCKS_AUTH:
        if (in.n < 2)
            return LB_PROXY_MORE;
        *n_used = 2;
        if (in.p[1]) {
            err_set(e, ERR_DENIED, "proxy: it refuses the user or the password");
            return LB_PROXY_FAILED;
        }
        return socks_connect(t, out, e);
    case SOCKS_REPLY:
        return socks_reply(in, n_used, e);
    default:
        return broken(e, "no talk is under way");
    }
}
