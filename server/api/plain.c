/*
 * Paths that are no resources: health, version, metrics, discovery and OpenAPI.
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/kube/status.h"
#include "server/api/request.h"
#include "server/api/scrape.h"
#include "server/schema/discovery.h"

#include <sys/utsname.h>

/* "/readyz" in "/readyz" and "/readyz/name" */
static bool below(const char *path, const char *what, const char **rest)
{
    size_t n = strlen(what);

    if (strncmp(path, what, n) != 0 || (path[n] && path[n] != '/'))
        return false;
    *rest = path[n] ? path + n + 1 : "";
    return true;
}

/* ---- health: apiserver/pkg/server/healthz/healthz.go ---- */

#define HEALTH_MAX_BYTES (64 * 1024) /* a page that is cut is still one */

static const struct http_header NO_SNIFF = { STR("X-Content-Type-Options"), STR("nosniff") };

struct health {
    struct str query;
    struct buf lines;
    size_t n_failed;
    const char *one; /* the check that the path names; "": all */
    bool found;
};

/* Walks the values of one parameter; each is decoded into value. */
static bool next_value(struct str *rest, const char *name, struct buf *value)
{
    struct str n, v;

    while (url_query_next(rest, &n, &v)) {
        buf_clear(value);
        if (str_is(n, name) && url_decode_query(value, v) == 0)
            return true;
    }
    return false;
}

/* Upstream calls the datastore etcd, and so does K3s whatever it is: probes ask for that. */
static const char *check_name(const char *asked)
{
    return strcmp(asked, "etcd") == 0 ? "storage" : asked;
}

static bool is_excluded(const struct health *h, const char *name)
{
    auto_buf value = BUF(256);

    for (struct str rest = h->query; next_value(&rest, "exclude", &value);)
        if (strcmp(check_name(buf_cstr(&value)), name) == 0)
            return true;
    return false;
}

static void on_check(void *arg, const char *name, const char *why)
{
    struct health *h = arg;
    struct buf *b = &h->lines;

    if (*h->one && strcmp(h->one, name) != 0)
        return;
    h->found = true;
    if (*h->one)
        err_ignore(why ? buf_addf(b, "internal server error: %s\n", why) : buf_adds(b, "ok"));
    else if (is_excluded(h, name))
        err_ignore(buf_addf(b, "[+]%s excluded: ok\n", name));
    else
        err_ignore(why ? buf_addf(b, "[-]%s failed: %s\n", name, why)
                       : buf_addf(b, "[+]%s ok\n", name));
    h->n_failed += why && (*h->one || !is_excluded(h, name));
}

/* Names in exclude= that no check has. */
static void warn_of_unknown(struct health *h)
{
    auto_buf value = BUF(256), names = BUF(4096);

    for (struct str rest = h->query; next_value(&rest, "exclude", &value);) {
        auto_free char *line = mem_printf("[+]%s excluded: ok\n", check_name(buf_cstr(&value)));

        if (!strstr(buf_cstr(&h->lines), line))
            err_ignore(buf_addf(&names, "%s\"%s\"", names.n ? "," : "", buf_cstr(&value)));
    }
    if (names.n)
        err_ignore(buf_addf(&h->lines,
                            "warn: some health checks cannot be excluded: no matches for %s\n",
                            buf_cstr(&names)));
}

static void health(struct api_req *r, const char *path, const char *check)
{
    struct health h = { .lines = BUF(HEALTH_MAX_BYTES), .one = check_name(check) };
    auto_buf ignored = BUF(256);
    struct str head, rest;
    bool verbose;

    str_cut(str_of(r->target), '?', &head, &h.query);
    rest = h.query;
    verbose = next_value(&rest, "verbose", &ignored);
    api_checks_walk(r->api, strcmp(path, "/livez") == 0, on_check, &h);
    if (!h.found) {
        req_page_not_found(r);
    } else if (*check || (!h.n_failed && !verbose)) {
        reply_text(r, h.n_failed ? 500 : 200, "text/plain; charset=utf-8",
                   *check ? buf_str(&h.lines) : STR("ok"), &NO_SNIFF, 1);
    } else {
        warn_of_unknown(&h);
        err_ignore(buf_addf(&h.lines, "%s check %s\n", path + 1, h.n_failed ? "failed" : "passed"));
        reply_text(r, h.n_failed ? 500 : 200, "text/plain; charset=utf-8", buf_str(&h.lines),
                   &NO_SNIFF, 1);
    }
    buf_deinit(&h.lines);
}

/* ---- the others ---- */

static void version(struct api_req *r)
{
    struct utsname u = { 0 };
    const char *arch;

    uname(&u);
    arch = strcmp(u.machine, "x86_64") == 0    ? "amd64"
           : strcmp(u.machine, "aarch64") == 0 ? "arm64"
           : strncmp(u.machine, "arm", 3) == 0 ? "arm"
                                               : u.machine;
    auto_free char *platform = mem_printf("linux/%s", arch);
    json_auto_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", "1",
                               "minor", "32", "gitVersion", r->api->git_version, "gitCommit",
                               r->api->config.commit ? r->api->config.commit : "", "gitTreeState",
                               "clean", "buildDate", "1970-01-01T00:00:00Z", "goVersion", "none",
                               "compiler", "cc", "platform", platform);
    auto_buf b = BUF(4096);

    err_ignore(json_write_indented(&b, v, 2)); /* a few hundred bytes */
    req_text(r, 200, "application/json", buf_str(&b));
}

static void nothing_here(struct api_req *r)
{
    const char *rest;
    struct str group = { 0 }, ignored;
    bool known = below(r->route.path, "/api", &rest);

    if (below(r->route.path, "/apis", &rest)) {
        str_cut(str_of(rest), '/', &group, &ignored);
        known = group.n && req_knows_group(r->api, group);
    }
    if (known)
        req_status(r, status_path_not_found());
    else
        req_page_not_found(r);
}

enum { YEAR_S = 365 * 86400, HEADERS_MAX = 4 };

/* Wed, 01 Jan 2025 00:00:00 UTC, as Go's RFC1123 writes it. */
static void a_year_from_now(char out[40])
{
    time_t then = (time_t)(clock_wall_s() + YEAR_S);
    struct tm tm;

    strftime(out, 40, "%a, %d %b %Y %H:%M:%S UTC", gmtime_r(&then, &tm));
}

/* The root of /openapi/v3 links its documents with their hash: such a one may be kept for ever, and
 * a link that is out of date leads to the document as it is now
 * (k8s.io/kube-openapi pkg/handler3). True: redirected. */
static bool openapi_link(struct api_req *r, const struct discovery_doc *doc,
                         struct http_header *extra, size_t *n, char expires[40])
{
    struct str path, asked;
    auto_buf hash = BUF(256);

    str_cut(str_of(r->target), '?', &path, &asked);
    if (!str_starts(path, STR("/openapi/v3/")) || url_query_get(&hash, asked, "hash") || !hash.n)
        return false;
    if (discovery_hash_is(doc, buf_str(&hash))) {
        a_year_from_now(expires);
        extra[(*n)++] = (struct http_header){ STR("Cache-Control"), STR("public, immutable") };
        extra[(*n)++] = (struct http_header){ STR("Expires"), str_of(expires) };
        return false;
    }
    auto_free char *place =
        mem_printf(STR_FMT "?hash=%.*s", STR_ARG(path), (int)strlen(doc->etag) - 2, doc->etag + 1);
    struct http_header location = { STR("Location"), str_of(place) };
    reply_text(r, 301, doc->content_type, (struct str){ 0 }, &location, 1);
    return true;
}

static void discovery(struct api_req *r)
{
    struct discovery_doc doc;
    struct str accept = { 0 }, path = str_of(r->route.path);
    const struct http_headers *h = r->http ? http_req_headers(r->http) : NULL;
    struct http_header extra[HEADERS_MAX];
    char expires[40];
    size_t n = 0;

    if (h)
        accept = http_headers_get(h, "accept");
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (!discovery_get(r->api->discovery, path, accept, &doc)) {
        nothing_here(r);
        return;
    }
    extra[n++] = (struct http_header){ STR("Vary"), STR("Accept") };
    extra[n++] = (struct http_header){ STR("ETag"), str_of(doc.etag) };
    if (openapi_link(r, &doc, extra, &n, expires))
        return;
    if (h && http_headers_has_token(h, "if-none-match", doc.etag))
        reply_text(r, 304, doc.content_type, (struct str){ 0 }, extra, n);
    else
        reply_text(r, 200, doc.content_type, doc.body, extra, n);
}

void plain_step(struct api_req *r)
{
    const char *path = r->route.path, *rest;

    if (r->verb != VERB_GET && r->verb != VERB_LIST) {
        req_status(r, status_method_not_allowed("", "", ""));
        return;
    }
    if (below(path, "/healthz", &rest) || below(path, "/livez", &rest) ||
        below(path, "/readyz", &rest)) {
        auto_free char *base = str_dup(str_n(path, strcspn(path + 1, "/") + 1));

        health(r, base, rest);
    } else if (strcmp(path, "/version") == 0 || strcmp(path, "/version/") == 0) {
        version(r);
    } else if (strcmp(path, "/metrics") == 0) {
        scrape_answer(r);
    } else {
        discovery(r);
    }
}
