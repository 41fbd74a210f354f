#include "server/schema/discovery.h"

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/io/digest.h"
#include "server/schema/openapi.h"
#include "server/schema/texts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DOC_MAX_BYTES = 32 * 1024 * 1024,
    /* Bytes of documents that are kept; all of OpenAPI is more and is asked for rarely, so the
     * one that was used longest ago goes and is made anew. Its ETag stays. */
    KEPT_MAX_BYTES = 512 * 1024,
};

enum form { FORM_PLAIN, FORM_V2BETA1, FORM_V2, FORM_PROTOBUF };

struct doc {
    struct buf body; /* empty: dropped */
    const char *content_type;
    char etag[40];
    uint64_t used; /* when, by discovery's count of calls */
};

struct discovery {
    const struct schema *schema;
    char *server_address, *git_version;
    uint64_t generation; /* that docs were made from */
    uint64_t calls;
    struct map *docs;          /* "<form> <path>" to struct doc */
    const struct texts *texts; /* while the index of v3 is made; else NULL */
};

struct discovery *discovery_new(const struct schema *s, const char *server_address,
                                const char *git_version)
{
    struct discovery *d = mem_alloc(sizeof *d);

    d->schema = s;
    d->server_address = mem_strdup(server_address);
    d->git_version = mem_strdup(git_version);
    d->docs = map_new();
    return d;
}

static void forget(struct discovery *d)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(d->docs, &i, &key, &v);) {
        struct doc *doc = v;
        buf_deinit(&doc->body);
        free(doc);
    }
    map_free(d->docs);
    d->docs = NULL;
}

void discovery_free(struct discovery *d)
{
    if (!d)
        return;
    forget(d);
    free(d->server_address);
    free(d->git_version);
    free(d);
}

/* ---- lists of resources ---- */

static json_t *verbs_of(unsigned verbs)
{
    json_t *out = json_array();

    for (unsigned i = 0; schema_verb_name(i); i++)
        if (verbs & (1U << i))
            json_array_append_new(out, json_string(schema_verb_name(i)));
    return out;
}

static void set_texts(json_t *o, const char *key, const char *const *texts)
{
    json_t *out = json_array();

    for (; *texts; texts++)
        json_array_append_new(out, json_string(*texts));
    if (json_array_size(out))
        json_object_set(o, key, out);
    json_decref(out);
}

/* Group and version of what a subresource carries. */
static void sub_version(const struct schema_kind *k, const struct schema_sub *s, struct str *group,
                        struct str *version)
{
    *group = str_of(k->group);
    *version = str_of(k->version);
    if (s->group_version)
        str_cut(str_of(s->group_version), '/', group, version);
    if (str_is(*group, "core"))
        *group = STR("");
}

/* Tells clients when objects are stored in another version: the first eight bytes of a SHA-256
 * (apiserver/pkg/endpoints/discovery/storageversionhash.go). */
static json_t *storage_hash(const struct schema_kind *k)
{
    unsigned char digest[DIGEST_SHA256_BYTES];
    const char *group = k->storage_group ? k->storage_group : "";

    if (strcmp(group, "core") == 0)
        group = "";
    auto_free char *text = mem_printf("%s/%s/%s", group, k->storage_version, k->kind);
    auto_buf b = BUF(64);

    digest_sha256(digest, str_of(text));
    err_ignore(base64_add(&b, str_n((const char *)digest, 8))); /* twelve bytes */
    return json_string(buf_cstr(&b));
}

static void add_resource(json_t *list, const struct schema_kind *k)
{
    json_t *r =
        json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", k->plural, "singularName", k->singular,
                  "namespaced", (int)k->namespaced, "kind", k->kind, "verbs", verbs_of(k->verbs));

    set_texts(r, "shortNames", k->short_names);
    set_texts(r, "categories", k->categories);
    if (k->verbs & SCHEMA_WATCH)
        json_object_set_new(r, "storageVersionHash", storage_hash(k));
    json_array_append_new(list, r);
    for (size_t i = 0; i < k->n_subs; i++) {
        const struct schema_sub *s = &k->subs[i];
        struct str group, version;
        sub_version(k, s, &group, &version);
        r = json_pack("{s:o, s:s, s:b}", "name", json_sprintf("%s/%s", k->plural, s->name),
                      "singularName", "", "namespaced", (int)k->namespaced);
        if (s->group_version) {
            json_object_set_new(r, "group", json_stringn(group.p, group.n));
            json_object_set_new(r, "version", json_stringn(version.p, version.n));
        }
        json_object_set_new(r, "kind", json_string(s->kind));
        json_object_set_new(r, "verbs", verbs_of(s->verbs));
        json_array_append_new(list, r);
    }
}

static json_t *resources(const struct discovery *d, struct str group, struct str version)
{
    char api_version[SCHEMA_API_VERSION_MAX] = "";
    json_t *list = json_array(), *out;
    size_t n;
    const struct schema_kind *const *k = schema_kinds(d->schema, &n);

    for (size_t i = 0; i < n; i++) {
        if (!str_is(group, k[i]->group) || !str_is(version, k[i]->version))
            continue;
        schema_api_version(k[i], api_version);
        add_resource(list, k[i]);
    }
    if (!api_version[0]) {
        json_decref(list);
        return NULL;
    }
    out = json_pack("{s:s}", "kind", "APIResourceList");
    if (group.n)
        json_object_set_new(out, "apiVersion", json_string("v1"));
    json_object_set_new(out, "groupVersion", json_string(api_version));
    json_object_set_new(out, "resources", list);
    return out;
}

/* ---- lists of groups ---- */

static json_t *group_of(const struct discovery *d, const char *name)
{
    json_t *versions = json_array();
    const char *last = "";
    size_t n;
    const struct schema_kind *const *k = schema_kinds(d->schema, &n);

    for (size_t i = 0; i < n; i++) { /* a group's versions lie together, the preferred one first */
        char api_version[SCHEMA_API_VERSION_MAX];
        if (strcmp(k[i]->group, name) != 0 || strcmp(k[i]->version, last) == 0)
            continue;
        last = k[i]->version;
        json_array_append_new(versions,
                              json_pack("{s:s, s:s}", "groupVersion",
                                        schema_api_version(k[i], api_version), "version", last));
    }
    if (!json_array_size(versions)) {
        json_decref(versions);
        return NULL;
    }
    json_t *preferred = json_deep_copy(json_array_get(versions, 0));
    return json_pack("{s:s, s:o, s:o}", "name", name, "versions", versions, "preferredVersion",
                     preferred);
}

static json_t *groups(const struct discovery *d)
{
    json_t *list = json_array();
    const char *last = "";
    size_t n;
    const struct schema_kind *const *k = schema_kinds(d->schema, &n);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(k[i]->group, last) == 0)
            continue;
        last = k[i]->group;
        json_array_append_new(list, group_of(d, last));
    }
    return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", list);
}

static json_t *one_group(const struct discovery *d, struct str name)
{
    auto_free char *text = str_dup(name);
    json_t *g = name.n ? group_of(d, text) : NULL;

    if (!g)
        return NULL;
    json_t *out = json_pack("{s:s, s:s}", "kind", "APIGroup", "apiVersion", "v1");
    json_object_update(out, g);
    json_decref(g);
    return out;
}

static json_t *core_versions(const struct discovery *d)
{
    return json_pack("{s:s, s:[s], s:[{s:s, s:s}]}", "kind", "APIVersions", "versions", "v1",
                     "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress",
                     d->server_address);
}

/* ---- the aggregated form: apidiscovery.k8s.io ---- */

static json_t *response_kind(struct str group, struct str version, const char *kind)
{
    return json_pack("{s:o, s:o, s:s}", "group", json_stringn(group.p ? group.p : "", group.n),
                     "version", json_stringn(version.p, version.n), "kind", kind);
}

static json_t *aggregated_resource(const struct schema_kind *k)
{
    json_t *subs = json_array();
    json_t *r = json_pack("{s:s, s:o, s:s, s:s, s:o}", "resource", k->plural, "responseKind",
                          response_kind(str_of(k->group), str_of(k->version), k->kind), "scope",
                          k->namespaced ? "Namespaced" : "Cluster", "singularResource", k->singular,
                          "verbs", verbs_of(k->verbs));

    set_texts(r, "shortNames", k->short_names);
    set_texts(r, "categories", k->categories);
    for (size_t i = 0; i < k->n_subs; i++) {
        struct str group, version;
        sub_version(k, &k->subs[i], &group, &version);
        json_array_append_new(subs, json_pack("{s:s, s:o, s:o}", "subresource", k->subs[i].name,
                                              "responseKind",
                                              response_kind(group, version, k->subs[i].kind),
                                              "verbs", verbs_of(k->subs[i].verbs)));
    }
    if (json_array_size(subs))
        json_object_set(r, "subresources", subs);
    json_decref(subs);
    return r;
}

static json_t *aggregated(const struct discovery *d, bool core, enum form form)
{
    json_t *items = json_array(), *versions = NULL, *list = NULL;
    const char *group = NULL, *version = NULL;
    size_t n;
    const struct schema_kind *const *k = schema_kinds(d->schema, &n);

    for (size_t i = 0; i < n; i++) {
        if (core != (k[i]->group[0] == '\0'))
            continue;
        if (!group || strcmp(group, k[i]->group) != 0) {
            group = k[i]->group;
            version = NULL;
            versions = json_array();
            json_array_append_new(
                items, json_pack("{s:o, s:o}", "metadata",
                                 group[0] ? json_pack("{s:s}", "name", group) : json_object(),
                                 "versions", versions));
        }
        if (!version || strcmp(version, k[i]->version) != 0) {
            version = k[i]->version;
            list = json_array();
            json_array_append_new(versions, json_pack("{s:s, s:o, s:s}", "version", version,
                                                      "resources", list, "freshness", "Current"));
        }
        json_array_append_new(list, aggregated_resource(k[i]));
    }
    return json_pack("{s:s, s:s, s:{}, s:o}", "kind", "APIGroupDiscoveryList", "apiVersion",
                     form == FORM_V2 ? "apidiscovery.k8s.io/v2" : "apidiscovery.k8s.io/v2beta1",
                     "metadata", "items", items);
}

/* The first form of an Accept header that we can write. */
static enum form form_of(struct str accept)
{
    struct str one, rest = accept;
    bool more;

    do {
        more = str_cut(rest, ',', &one, &rest);
        char text[256];
        snprintf(text, sizeof text, STR_FMT ";", STR_ARG(one));
        if (!strstr(text, "as=APIGroupDiscoveryList")) {
            if (str_trim(one).n)
                return FORM_PLAIN;
        } else if (strstr(text, "g=apidiscovery.k8s.io") && !strstr(text, "protobuf")) {
            if (strstr(text, "v=v2;"))
                return FORM_V2;
            if (strstr(text, "v=v2beta1;"))
                return FORM_V2BETA1;
        }
    } while (more);
    return FORM_PLAIN;
}

/* ---- documents ---- */

/* Two FNV-1a hashes: tells documents apart, hides nothing. */
static void hash(char out[33], struct str s)
{
    uint64_t a = 0xcbf29ce484222325, b = 0x84222325cbf29ce4;

    for (size_t i = 0; i < s.n; i++) {
        a = (a ^ (unsigned char)s.p[i]) * 0x100000001b3;
        b = (b ^ (unsigned char)s.p[s.n - 1 - i]) * 0x100000001b3;
    }
    snprintf(out, 33, "%016" PRIX64 "%016" PRIX64, a, b);
}

static struct doc *doc_at(struct discovery *d, struct str path, enum form form);

static json_t *openapi_index(struct discovery *d)
{
    AUTO(texts) struct texts *texts = texts_new(); /* once for all that are made now */
    json_t *paths = json_object();
    const char *group = NULL, *version = NULL;
    size_t n;
    const struct schema_kind *const *k = schema_kinds(d->schema, &n);

    d->texts = texts;
    for (size_t i = 0; i < n; i++) {
        if (group && strcmp(group, k[i]->group) == 0 && strcmp(version, k[i]->version) == 0)
            continue;
        group = k[i]->group;
        version = k[i]->version;
        auto_free char *name = mem_printf("%s%s/%s", group[0] ? "apis/" : "api", group, version);
        auto_free char *path = mem_printf("/openapi/v3/%s", name);
        const struct doc *doc = doc_at(d, str_of(path), FORM_PLAIN);
        if (!doc)
            continue;
        json_t *url = json_sprintf("%s?hash=%.*s", path, (int)strlen(doc->etag) - 2, doc->etag + 1);
        json_object_set_new(paths, name, json_pack("{s:o}", "serverRelativeURL", url));
    }
    d->texts = NULL;
    return json_pack("{s:o}", "paths", paths);
}

static json_t *make(struct discovery *d, struct str path, enum form form)
{
    struct str rest, group, version;

    if (str_is(path, "/api"))
        return form ? aggregated(d, true, form) : core_versions(d);
    if (str_is(path, "/apis"))
        return form ? aggregated(d, false, form) : groups(d);
    if (str_is(path, "/openapi/v2"))
        return openapi_v2(d->schema, d->git_version);
    if (str_is(path, "/openapi/v3"))
        return openapi_index(d);
    bool openapi = str_starts(path, STR("/openapi/v3/"));
    rest = openapi ? str_n(path.p + 11, path.n - 11) : path;
    if (str_starts(rest, STR("/api/"))) {
        group = STR("");
        version = str_n(rest.p + 5, rest.n - 5);
    } else if (!str_starts(rest, STR("/apis/"))) {
        return NULL;
    } else if (!str_cut(str_n(rest.p + 6, rest.n - 6), '/', &group, &version)) {
        return openapi ? NULL : one_group(d, group);
    } else if (!group.n) {
        return NULL;
    }
    if (!schema_has_version(d->schema, group, version))
        return NULL;
    return openapi ? openapi_v3(d->schema, d->texts, group, version, d->git_version)
                   : resources(d, group, version);
}

/* 0, or not 0 when there is no such document. */
static int write_doc(struct discovery *d, struct str path, enum form form, struct buf *out)
{
    if (form == FORM_PROTOBUF)
        return openapi_v2_pb(out, d->schema, d->git_version);
    json_auto_t *j = make(d, path, form);
    return j ? json_write(out, j) : ERR_NOT_FOUND;
}

/* Drops bodies, the longest unused first, until no more than KEPT_MAX_BYTES are kept. but: not it.
 */
static void drop_bodies(struct discovery *d, const struct doc *but)
{
    for (;;) {
        struct doc *oldest = NULL;
        size_t kept = 0;
        struct str key;
        void *v;

        for (size_t i = 0; map_next(d->docs, &i, &key, &v);) {
            struct doc *doc = v;
            kept += doc->body.n;
            if (doc != but && doc->body.n && (!oldest || doc->used < oldest->used))
                oldest = doc;
        }
        if (kept <= KEPT_MAX_BYTES || !oldest)
            return;
        buf_deinit(&oldest->body);
        oldest->body = BUF(DOC_MAX_BYTES);
    }
}

static struct doc *doc_at(struct discovery *d, struct str path, enum form form)
{
    static const char *const types[] = {
        "application/json",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        /* asked for with '@', but a media type cannot hold that (kubectl 1.20 refuses it) */
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    };
    auto_free char *key = mem_printf("%d " STR_FMT, (int)form, STR_ARG(path));
    struct doc *doc = map_get(d->docs, str_of(key));
    char tag[33];

    if (doc) {
        doc->used = ++d->calls;
        return doc;
    }
    doc = mem_alloc(sizeof *doc);
    doc->body = BUF(DOC_MAX_BYTES);
    doc->content_type = types[form];
    doc->used = ++d->calls;
    if (write_doc(d, path, form, &doc->body)) {
        buf_deinit(&doc->body);
        free(doc);
        return NULL;
    }
    hash(tag, buf_str(&doc->body));
    snprintf(doc->etag, sizeof doc->etag, "\"%s\"", tag);
    map_set(d->docs, str_of(key), doc);
    drop_bodies(d, doc);
    return doc;
}

/* Older kubectl accept this form only; newer ones name JSON beside it. */
static bool wants_protobuf(struct str accept)
{
    auto_free char *text = str_dup(accept);

    return strstr(text, "proto-openapi.spec.v2") && !strstr(text, "application/json");
}

bool discovery_get(struct discovery *d, struct str path, struct str accept,
                   struct discovery_doc *out)
{
    enum form form = FORM_PLAIN;

    if (str_is(path, "/api") || str_is(path, "/apis"))
        form = form_of(accept);
    else if (str_is(path, "/openapi/v2") && wants_protobuf(accept))
        form = FORM_PROTOBUF;
    if (d->generation != schema_generation(d->schema)) {
        forget(d);
        d->docs = map_new();
        d->generation = schema_generation(d->schema);
    }
    struct doc *doc = doc_at(d, path, form);
    if (!doc)
        return false;
    if (!doc->body.n && write_doc(d, path, form, &doc->body))
        return false;
    drop_bodies(d, doc);
    *out = (struct discovery_doc){ .body = buf_str(&doc->body),
                                   .content_type = doc->content_type,
                                   .etag = doc->etag };
    return true;
}

bool discovery_hash_is(const struct discovery_doc *doc, struct str hash)
{
    return hash.n + 2 == strlen(doc->etag) && memcmp(hash.p, doc->etag + 1, hash.n) == 0;
}
