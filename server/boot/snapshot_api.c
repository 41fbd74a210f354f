#include "server/boot/snapshot_api.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"

#include <stdio.h>

/* ---- the request ---- */

static int operation(struct snapshots_ask *ask, const char *name, struct err *e)
{
    static const struct {
        const char *name;
        int what;
    } rows[] = { { "save", SNAPSHOTS_SAVE },
                 { "list", SNAPSHOTS_LIST },
                 { "prune", SNAPSHOTS_PRUNE },
                 { "delete", SNAPSHOTS_DELETE } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(name, rows[i].name) == 0) {
            ask->what = rows[i].what;
            return 0;
        }
    return err_set(e, ERR_INVALID, "operation \"%s\" is not known: save, list, prune, delete",
                   name);
}

static int names(struct snapshot_request *r, const json_t *list, struct err *e)
{
    size_t n = json_array_size(list);

    r->names = mem_calloc(n + 1, sizeof *r->names);
    for (size_t i = 0; i < n; i++) {
        r->names[i] = json_string_value(json_array_get(list, i));
        if (!r->names[i])
            return err_set(e, ERR_INVALID, "name[%zu] is not a string", i);
    }
    if (r->ask.what == SNAPSHOTS_DELETE) {
        r->ask.names = r->names;
        r->ask.n_names = n;
        if (!n)
            return err_set(e, ERR_INVALID, "no snapshot is named to delete");
    } else if (n > 1) {
        return err_set(e, ERR_INVALID, "%zu names, one is enough", n);
    } else if (n == 1) {
        r->ask.base = r->names[0];
    }
    return 0;
}

static int fields(struct snapshot_request *r, const json_t *doc, struct err *e)
{
    int64_t retention = json_i64_at(doc, "retention", 0);

    if (!json_is_object(doc))
        return err_set(e, ERR_INVALID, "the body is no JSON object");
    if (json_is_object(json_object_get(doc, "s3")))
        return err_set(e, ERR_INVALID, "snapshots in S3 are not supported by this version");
    if (operation(&r->ask, json_str_at(doc, "operation", ""), e) ||
        names(r, json_object_get(doc, "name"), e))
        return (int)e->code;
    if (retention < 0 || retention > 100000)
        return err_set(e, ERR_INVALID, "retention %lld is not within 0 to 100000",
                       (long long)retention);
    r->ask.retention = (size_t)retention;
    r->ask.dir = json_str_at(doc, "dir", NULL);
    if (r->ask.dir && *r->ask.dir && *r->ask.dir != '/')
        return err_set(e, ERR_INVALID, "dir \"%s\" is not an absolute path", r->ask.dir);
    r->ask.compress = json_bool_at(doc, "compress", false);
    return 0;
}

int snapshot_request_parse(struct snapshot_request *out, struct str body, struct err *e)
{
    struct snapshot_request r = { 0 };
    json_t *doc = NULL;

    if (json_parse(&doc, body, e))
        return err_wrap(e, "snapshot request");
    r.doc = doc;
    if (fields(&r, doc, e)) {
        snapshot_request_deinit(&r);
        return (int)e->code;
    }
    *out = r;
    return 0;
}

void snapshot_request_deinit(struct snapshot_request *r)
{
    free(r->names);
    json_decref(r->doc);
    *r = (struct snapshot_request){ 0 };
}

/* ---- the answer ---- */

static json_t *name_list(const struct snapshot_files *l)
{
    json_t *out = json_array();

    for (size_t i = 0; l && i < l->n; i++)
        json_array_append_new(out, json_string(l->v[i].name));
    return out;
}

static json_t *file_object(const struct snapshot_file *f, const char *dir, const char *node)
{
    auto_free char *location = mem_printf("file://%s/%s", dir, f->name);
    char created[TIME_TEXT_BYTES], size[24];

    time_text_s(created, f->created_unix_s);
    snprintf(size, sizeof size, "%llu", (unsigned long long)f->size_bytes); /* a Quantity */
    return json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:b}}", "metadata", "name",
                     f->name, "creationTimestamp", created, "spec", "snapshotName", f->name,
                     "nodeName", node, "location", location, "status", "size", size, "creationTime",
                     created, "readyToUse", 1);
}

int snapshot_answer(struct buf *out, int what, const char *dir, const char *node,
                    const struct snapshot_files *made, const struct snapshot_files *gone)
{
    json_auto_t *doc = NULL;

    if (what == SNAPSHOTS_LIST) {
        json_t *items = json_array();
        for (size_t i = 0; i < made->n; i++)
            json_array_append_new(items, file_object(&made->v[i], dir, node));
        doc = json_pack("{s:s, s:s, s:{}, s:o}", "kind", "ETCDSnapshotFileList", "apiVersion",
                        "k3s.cattle.io/v1", "metadata", "items", items);
    } else {
        doc = json_pack("{s:o, s:o}", "created", name_list(made), "deleted", name_list(gone));
    }
    return json_write(out, doc);
}
