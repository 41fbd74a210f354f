/*
 * Paths that are no resources: health, version, metrics, discovery and OpenAPI.
 */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/kube/status.h"
#include "server/api/request.h"
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

static bool wants_verbose(const struct api_req *r)
{
    struct str path, query, name, value;

    str_cut(str_of(r->target), '?', &path, &query);
    while (url_query_next(&query, &name, &value))
        if (str_is(name, "verbose"))
            return true;
    return false;
}

static void health(struct api_req *r, const char *path, const char *check)
{
    bool live = strncmp(path, "/livez", 6) == 0, ok;
    auto_buf b = BUF(64 * 1024);

    ok = api_checks_text(r->api, live, &b);
    if (*check) { /* one check alone */
        auto_free char *good = mem_printf("[+]%s ok\n", check);
        auto_free char *bad = mem_printf("[-]%s ", check);

        if (!strstr(buf_cstr(&b), good) && !strstr(buf_cstr(&b), bad)) {
            req_status(r, status_path_not_found());
            return;
        }
        ok = strstr(buf_cstr(&b), good) != NULL;
        buf_clear(&b);
    } else if (ok && !wants_verbose(r)) {
        buf_clear(&b);
    } else {
        err_ignore(buf_addf(&b, "%s check %s\n", path + 1, ok ? "passed" : "failed"));
    }
    req_text(r, ok ? 200 : 500, "text/plain; charset=utf-8",
             b.n  ? buf_str(&b)
             : ok ? STR("ok")
                  : STR("not ready"));
}

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
                               "minor", "32", "gitVersion", r->api->git_version, "gitCommit", "",
                               "gitTreeState", "clean", "buildDate", "1970-01-01T00:00:00Z",
                               "goVersion", "none", "compiler", "cc", "platform", platform);
    auto_buf b = BUF(4096);

    err_ignore(json_write_indented(&b, v, 2)); /* a few hundred bytes */
    req_text(r, 200, "application/json", buf_str(&b));
}

static void discovery(struct api_req *r)
{
    struct discovery_doc doc;
    struct str accept = { 0 }, path = str_of(r->route.path);
    const struct http_headers *h = r->http ? http_req_headers(r->http) : NULL;

    if (h)
        accept = http_headers_get(h, "accept");
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (!discovery_get(r->api->discovery, path, accept, &doc)) {
        req_status(r, status_path_not_found());
        return;
    }
    if (h && doc.etag && *doc.etag && http_headers_has_token(h, "if-none-match", doc.etag)) {
        req_text(r, 304, doc.content_type, (struct str){ 0 });
        return;
    }
    struct http_header extra[] = { { STR("ETag"), str_of(doc.etag) },
                                   { STR("Vary"), STR("Accept") } };
    r->state = REQ_DONE;
    r->answered = true;
    api_count(r, 200);
    r->sink->reply(r, 200, doc.content_type, doc.body, doc.etag ? extra : extra + 1,
                   doc.etag ? 2 : 1);
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
        auto_buf b = BUF(4 * 1024 * 1024);

        api_metrics_text(r->api, &b);
        req_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&b));
    } else {
        discovery(r);
    }
}
