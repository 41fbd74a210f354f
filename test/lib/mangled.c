#include "test/lib/mangled.h"

#include "base/core/err.h"
#include "base/core/mem.h"

#include <stdio.h>

#define BODY_MAX   (256 * 1024)
#define TARGET_MAX (6 * 1024)
#define HEADER_MAX 1024

#define CM      "/api/v1/namespaces/" MANGLED_NS "/configmaps"
#define PODS    "/api/v1/namespaces/" MANGLED_NS "/pods"
#define DEPLOYS "/apis/apps/v1/namespaces/" MANGLED_NS "/deployments"
#define META    ";g=meta.k8s.io;v=v1"
#define JSON    "application/json"
#define PROTO   "application/vnd.kubernetes.protobuf"

#define CM_BODY                                                                                    \
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"m\",\"labels\":"       \
    "{\"a\":\"b\"},\"annotations\":{\"x/y\":\"z\"},\"finalizers\":[]},\"data\":{\"k\":\"v\"},"     \
    "\"binaryData\":{\"b\":\"AAEC\"}}"
#define POD_BODY                                                                                   \
    "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\","    \
    "\"ports\":[{\"containerPort\":80}],\"resources\":{\"limits\":{\"cpu\":\"1500m\",\"memory\":"  \
    "\"1Gi\"}},\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":"               \
    "\"metadata.name\"}}}]}],\"tolerations\":[{\"key\":\"k\",\"operator\":\"Exists\"}]}}"
#define DEPLOY_BODY                                                                                \
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{" \
    "\"replicas\":2,\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"25%\"}},\"selector\":{"        \
    "\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},"        \
    "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"
#define POD_YAML                                                                                   \
    "apiVersion: v1\nkind: Pod\nmetadata: &m {name: y, labels: {a: b}}\nspec:\n  containers:\n"    \
    "  - name: c\n    image: i\n    command: [sh, -c, \"sleep 1\"]\n    args:\n    - |\n      a\n"
#define SERVICE_BODY                                                                               \
    "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"NodePort\",\"selector\":{\"a\":\"b\"},"   \
    "\"ports\":[{\"port\":80,\"targetPort\":\"http\",\"protocol\":\"TCP\"}]}}"

/* TOKEN in a query and NULL as the body of protobuf stand for what the server gave. */
static const struct template
{
    const char *method, *path, *query, *accept, *type, *body;
}
TEMPLATES[] = {
    { "GET", CM, "limit=2&labelSelector=a%3Db%2Cc!%3Dd%2Ce%20in%20(f%2Cg)", JSON, "", "" },
    { "GET", CM, "limit=1&continue=TOKEN", JSON, "", "" },
    { "GET", CM, "resourceVersion=1&resourceVersionMatch=Exact", JSON ";q=0.5,*/*", "", "" },
    { "GET", CM, "pretty=true", "application/yaml", "", "" },
    { "GET", CM, "watch=1&timeoutSeconds=1&allowWatchBookmarks=true", JSON, "", "" },
    { "GET", CM,
      "watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
      "allowWatchBookmarks=true",
      PROTO ";stream=watch", "", "" },
    { "GET", CM "/m", "resourceVersion=0&timeout=3s", PROTO, "", "" },
    { "GET", PODS, "fieldSelector=spec.nodeName%3D%2Cstatus.phase!%3DRunning&includeObject=Object",
      JSON ";as=Table" META, "", "" },
    { "GET", PODS, "limit=500", JSON ";as=PartialObjectMetadataList" META, "", "" },
    { "GET", PODS "/p/log", "container=c&tailLines=1&sinceTime=2026-01-01T00:00:00Z", JSON, "",
      "" },
    { "GET", "/api/v1/watch/namespaces/" MANGLED_NS "/configmaps/m", "timeoutSeconds=1", JSON, "",
      "" },
    { "GET", "/apis", "", JSON ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "", "" },
    { "GET", "/openapi/v3/apis/apps/v1", "hash=x", JSON, "", "" },
    { "GET", "/readyz", "verbose&exclude=storage", "*/*", "", "" },
    { "GET", "/metrics", "", "text/plain", "", "" },
    { "HEAD", CM "/m", "", JSON, "", "" },
    { "OPTIONS", CM, "", JSON, "", "" },
    { "POST", CM, "fieldValidation=Strict&fieldManager=me", JSON, JSON, CM_BODY },
    { "POST", CM, "dryRun=All", PROTO, PROTO, NULL },
    { "POST", PODS, "", JSON, JSON, POD_BODY },
    { "POST", PODS, "", "application/yaml", "application/yaml", POD_YAML },
    { "POST", DEPLOYS, "fieldValidation=Warn", JSON, JSON, DEPLOY_BODY },
    { "POST", "/api/v1/namespaces/" MANGLED_NS "/services", "dryRun=All", JSON, JSON,
      SERVICE_BODY },
    { "POST", PODS "/p/binding", "", JSON, JSON,
      "{\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\",\"name\":\"n\"}}" },
    { "POST", PODS "/p/eviction", "", JSON, JSON,
      "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"p\"}}" },
    { "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "", JSON, JSON,
      "{\"spec\":{\"user\":\"u\",\"groups\":[\"g\"],\"resourceAttributes\":{\"verb\":\"get\","
      "\"resource\":\"pods\",\"fieldSelector\":{\"rawSelector\":\"a=b\"}}}}" },
    { "PUT", CM "/m", "fieldManager=me", JSON, JSON, CM_BODY },
    { "PUT", CM "/m", "", PROTO, PROTO, NULL },
    { "PUT", DEPLOYS "/d/status", "", JSON, JSON, DEPLOY_BODY },
    { "PUT", DEPLOYS "/d/scale", "", JSON, JSON,
      "{\"kind\":\"Scale\",\"apiVersion\":\"autoscaling/v1\",\"metadata\":{\"name\":\"d\"},"
      "\"spec\":{\"replicas\":3}}" },
    { "PATCH", CM "/m", "", JSON, "application/merge-patch+json",
      "{\"metadata\":{\"labels\":{\"a\":null,\"q\":\"r\"}},\"data\":{\"n\":\"1\"}}" },
    { "PATCH", CM "/m", "", JSON, "application/json-patch+json",
      "[{\"op\":\"test\",\"path\":\"/metadata/name\",\"value\":\"m\"},{\"op\":\"add\",\"path\":"
      "\"/data/a~1b\",\"value\":\"c\"},{\"op\":\"move\",\"from\":\"/data/k\",\"path\":\"/data/"
      "l\"}]" },
    { "PATCH", PODS "/p", "", JSON, "application/strategic-merge-patch+json",
      "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"j\"},{\"$patch\":\"delete\",\"name\":"
      "\"x\"}],\"$setElementOrder/containers\":[{\"name\":\"c\"}],\"$retainKeys\":[\"a\"]}}" },
    { "PATCH", DEPLOYS "/d", "fieldManager=me&force=true", JSON, "application/apply-patch+yaml",
      "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  replicas: 5\n" },
    { "PATCH", PODS "/p", "fieldManager=me", JSON, "application/apply-patch+yaml",
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"managedFields\":[]},"
      "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"k\",\"ports\":[{\"containerPort\":80,"
      "\"protocol\":\"TCP\"}]}]}}" },
    { "DELETE", CM "/m", "gracePeriodSeconds=0&propagationPolicy=Foreground", JSON, JSON,
      "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":\"x\"}}" },
    { "DELETE", PODS "/p", "gracePeriodSeconds=0", JSON, "", "" },
    { "DELETE", CM, "labelSelector=a%3Db&dryRun=All", JSON, "", "" },
    { "DELETE", DEPLOYS, "", JSON, "", "" },
};

static size_t below(struct fault_rand *r, size_t n)
{
    return (size_t)fault_rand_below(r, n);
}

/* ---- bytes ---- */

static const char *const WORDS[] = {
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e999",
    "99999999999999999999",
    "\\u0000",
    "\\ud800",
    "../",
    "/",
    "//",
    "?",
    "&",
    "=",
    "%00",
    "%ff",
    "%2F",
    "%",
    "+",
    "*",
    ";q=",
    ",,",
    "metadata",
    "spec",
    "$patch",
    "k:{\"",
    "f:",
    "~1",
    "\xff\xfe",
    "\xe2\x80\xa8",
    "\n",
    "- ",
    "&a [*a]",
    "!!binary ",
    "0x7fffffffffffffff",
    "2026-13-45T99:99:99Z",
    "1Ei",
    "1n",
    "Exists",
};

/* One change. */
static void change(struct buf *b, struct fault_rand *r)
{
    size_t at = below(r, b->n + 1), n, rest = b->n - at;
    const char *word = WORDS[below(r, ARRAY_LEN(WORDS))];
    auto_free char *tail = str_dup(str_n(b->p + at, rest));

    switch (below(r, 7)) {
    case 0: /* another byte */
        if (rest)
            b->p[at] = (char)below(r, 256);
        return;
    case 1: /* a bit */
        if (rest)
            b->p[at] = (char)(b->p[at] ^ (1 << below(r, 8)));
        return;
    case 2: /* something is missing */
        n = MIN(rest, 1 + below(r, 16));
        b->n = at;
        err_ignore(buf_add(b, tail + n, rest - n));
        return;
    case 3: /* the end is missing */
        b->n = at;
        break;
    case 4: /* a word too much */
        b->n = at;
        err_ignore(buf_adds(b, word) || buf_add(b, tail, rest));
        return;
    case 5: /* some of it again and again */
        n = MIN(rest, 1 + below(r, 12));
        b->n = at;
        for (size_t i = below(r, 200); n && i; i--)
            if (buf_add(b, tail, n))
                break;
        err_ignore(buf_add(b, tail, rest)); /* what does not fit is cut */
        return;
    default: /* a word instead */
        n = MIN(rest, strlen(word));
        for (size_t i = 0; i < n; i++)
            b->p[at + i] = word[i];
        return;
    }
}

static void change_some(struct buf *b, struct fault_rand *r)
{
    for (size_t i = 1 + below(r, 3); i; i--)
        change(b, r);
}

/* Only what a request line may hold. */
static void escape(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        err_ignore(c > ' ' && c < 0x7f && c != '#' ? buf_addc(out, (char)c)
                                                   : buf_addf(out, "%%%02X", c)); /* cut is fine */
    }
}

/* Only what a header may hold. */
static void tidy(struct buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if ((unsigned char)b->p[i] < ' ' || (unsigned char)b->p[i] >= 0x7f)
            b->p[i] = '_';
    while (b->n && b->p[b->n - 1] == ' ')
        b->n--;
    while (b->n && b->p[0] == ' ')
        buf_drop(b, 1);
}

static void header(struct mangled *m, const char *name, const struct buf *value)
{
    if (value->n)
        m->headers[m->n_headers++] = (struct http_header){ str_of(name), buf_str(value) };
}

void mangled_init(struct mangled *m, struct fault_rand *r, const struct mangled_seeds *seeds)
{
    const struct template *t = &TEMPLATES[below(r, ARRAY_LEN(TEMPLATES))];
    auto_buf path = BUF(TARGET_MAX / 3), query = BUF(TARGET_MAX / 3);
    struct str before, after;
    size_t what = below(r, 16);

    *m = (struct mangled){ .method = t->method,
                           .target = BUF(TARGET_MAX),
                           .accept = BUF(HEADER_MAX),
                           .content_type = BUF(HEADER_MAX),
                           .body = BUF(BODY_MAX) };
    err_ignore(buf_adds(&path, t->path) || buf_adds(&m->accept, t->accept) ||
               buf_adds(&m->content_type, t->type));
    if (str_cut_str(str_of(t->query), STR("TOKEN"), &before, &after))
        err_ignore(buf_add_str(&query, before) || buf_add_str(&query, seeds->token) ||
                   buf_add_str(&query, after));
    else
        err_ignore(buf_adds(&query, t->query));
    err_ignore(buf_add_str(&m->body, t->body ? str_of(t->body) : seeds->proto));

    /* one part of it, sometimes two; one in sixteen stays as it is */
    if (what & 1)
        change_some(m->body.n ? &m->body : &query, r);
    if (what & 2 && below(r, 2))
        change_some(&query, r);
    if (what & 4 && below(r, 4) == 0)
        change_some(&path, r);
    if (what & 8 && below(r, 4) == 0)
        change_some(below(r, 2) ? &m->accept : &m->content_type, r);
    if (below(r, 64) == 0)
        m->method = TEMPLATES[below(r, ARRAY_LEN(TEMPLATES))].method;

    escape(&m->target, buf_str(&path));
    if (!str_starts(buf_str(&m->target), STR("/"))) {
        buf_clear(&m->target);
        err_ignore(buf_addc(&m->target, '/'));
        escape(&m->target, buf_str(&path));
    }
    if (query.n) {
        err_ignore(buf_addc(&m->target, '?'));
        escape(&m->target, buf_str(&query));
    }
    tidy(&m->accept);
    tidy(&m->content_type);
    header(m, "Accept", &m->accept);
    header(m, "Content-Type", &m->content_type);
    if (below(r, 8) == 0)
        m->headers[m->n_headers++] = (struct http_header){ STR("Accept-Encoding"), STR("gzip") };
}

void mangled_deinit(struct mangled *m)
{
    buf_deinit(&m->target);
    buf_deinit(&m->accept);
    buf_deinit(&m->content_type);
    buf_deinit(&m->body);
}
