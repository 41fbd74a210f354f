/*
 * coracle etcd-snapshot save|ls|delete|prune: asks the server of this machine over its own port, as
 * K3s does, with the token that lies on its disk.
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/http/client.h"
#include "base/http/url.h"
#include "base/io/file.h"
#include "base/io/tls.h"
#include "base/pki/token.h"
#include "tools/coracle_cli.h"

#include <stdio.h>
#include <string.h>

enum {
    ANSWER_MAX = 4 * 1024 * 1024,
    PEM_MAX = 256 * 1024,
    SAVE_TIMEOUT_MS = 30 * 60 * 1000, /* a large datastore on a slow card */
};

struct options {
    char *data_dir, *server, *token, *node_name, *dir, *name, *output;
    char *dir_alias;
    bool compress, compress_alias, debug; /* _alias: K3s has second names of the same flags */
    int64_t retention, retention_alias;
};
#define O(field) offsetof(struct options, field)

/* clang-format off */
static const struct flag flags[] = {
    { .name = "data-dir", .alias = 'd', .type = FLAG_STR, .offset = O(data_dir), .dflt = "/var/lib/rancher/k3s", .env = "K3S_DATA_DIR", .help = "folder that holds the state" },
    { .name = "etcd-server", .alias = 's', .type = FLAG_STR, .offset = O(server), .dflt = "https://127.0.0.1:6443", .help = "the server to ask" },
    { .name = "etcd-token", .alias = 't', .type = FLAG_STR, .offset = O(token), .env = "K3S_TOKEN", .help = "token of servers (default: that of this machine's server)", .secret = true },
    { .name = "node-name", .type = FLAG_STR, .offset = O(node_name), .env = "K3S_NODE_NAME", .help = "accepted; the server knows its name" },
    { .name = "dir", .type = FLAG_STR, .offset = O(dir), .help = "folder of the snapshots (default: the server's)" },
    { .name = "etcd-snapshot-dir", .type = FLAG_STR, .offset = O(dir_alias), .help = "the same" },
    { .name = "name", .type = FLAG_STR, .offset = O(name), .help = "save: first part of the name (default: on-demand)" },
    { .name = "snapshot-compress", .type = FLAG_BOOL, .offset = O(compress), .help = "save: compress it (zip)" },
    { .name = "etcd-snapshot-compress", .type = FLAG_BOOL, .offset = O(compress_alias), .help = "the same" },
    { .name = "snapshot-retention", .type = FLAG_INT, .offset = O(retention), .dflt = "0", .help = "prune: how many stay (default: as the server's)" },
    { .name = "etcd-snapshot-retention", .type = FLAG_INT, .offset = O(retention_alias), .dflt = "0", .help = "the same" },
    { .name = "output", .alias = 'o', .type = FLAG_STR, .offset = O(output), .dflt = "table", .help = "ls: table or json", .one_of = "table|json" },
    { .name = "debug", .type = FLAG_BOOL, .offset = O(debug), .env = "K3S_DEBUG", .help = "log every step" },
    { .name = "s3", .type = FLAG_BOOL, .unsupported = true }, { .name = "etcd-s3", .type = FLAG_BOOL, .unsupported = true },
};
/* clang-format on */

/* ---- one call ---- */

struct call {
    uv_loop_t loop;
    struct http_endpoint *ep;
    struct tls_client_config *tls;
    int status;
    struct buf body;
    struct err err;
};

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct call *c = arg;

    (void)h;
    c->status = status;
    if (e)
        c->err = *e;
    else if (buf_add_str(&c->body, body))
        err_set(&c->err, ERR_LIMIT, "the answer is too long");
    http_endpoint_close(STEAL(c->ep), NULL, NULL);
}

/* Of this machine's server, unless one is given. */
static int find_password(struct buf *out, const struct options *o, struct err *e)
{
    auto_buf text = BUF_SECRET(TOKEN_MAX_BYTES);
    auto_free char *path = mem_printf("%s/server/token", o->data_dir);

    if (o->token && *o->token)
        return token_password(str_trim(str_of(o->token)), out, e);
    if (file_read(path, TOKEN_MAX_BYTES, &text, e))
        return err_wrap(e, "this is to be run on a server: token");
    return token_password(str_trim(buf_str(&text)), out, e);
}

static int trust(struct call *c, const struct options *o, struct err *e)
{
    auto_free char *path = mem_printf("%s/server/tls/server-ca.crt", o->data_dir);
    auto_buf pem = BUF(PEM_MAX);
    struct tls_client_options to = { 0 };

    if (file_read(path, PEM_MAX, &pem, e))
        return err_wrap(e, "this is to be run on a server: CA");
    to.ca_pem = buf_str(&pem);
    return tls_client_config_new(&c->tls, &to, e);
}

static int post(struct call *c, const struct options *o, struct str body, struct err *e)
{
    auto_buf password = BUF_SECRET(TOKEN_MAX_BYTES), plain = BUF_SECRET(2 * TOKEN_MAX_BYTES);
    auto_buf basic = BUF_SECRET(4 * TOKEN_MAX_BYTES);
    auto_buf authority = BUF(URL_MAX_BYTES);
    struct url url;

    if (url_parse(&url, str_of(o->server), e) || url_join_host_port(&authority, url.host, url.port))
        return err_wrap(e, "--etcd-server");
    if (!url.tls)
        return err_set(e, ERR_INVALID, "--etcd-server: \"%s\" is no https URL", o->server);
    if (find_password(&password, o, e) || trust(c, o, e))
        return (int)e->code;
    if (buf_addf(&plain, "server:%s", buf_cstr(&password)) || buf_adds(&basic, "Basic ") ||
        base64_add(&basic, buf_str(&plain)))
        return err_set(e, ERR_LIMIT, "the token is too long");
    struct http_endpoint_config ec = { .authority = buf_cstr(&authority),
                                       .tls = c->tls,
                                       .proto = HTTP_H1 };
    struct http_header headers[] = { { STR("Authorization"), buf_str(&basic) },
                                     { STR("Content-Type"), STR("application/json") } };
    struct http_call_config cc = { .method = "POST",
                                   .target = "/db/snapshot",
                                   .headers = headers,
                                   .n_headers = 2,
                                   .body = body,
                                   .timeout_ms = SAVE_TIMEOUT_MS };
    http_endpoint_new(&c->ep, &c->loop, &ec);
    http_fetch(c->ep, &cc, ANSWER_MAX, on_answer, c);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    return 0;
}

/* The answer's document, or why there is none. */
static int ask(json_t **out, const struct options *o, const json_t *request, struct err *e)
{
    struct call c = { .body = BUF(ANSWER_MAX) };
    auto_free char *text = json_text(request);
    int rc;

    uv_loop_init(&c.loop);
    rc = post(&c, o, str_of(text), e);
    tls_client_config_free(c.tls);
    uv_loop_close(&c.loop);
    if (!rc && c.err.code)
        rc = err_set(e, c.err.code, "%s", c.err.text);
    if (!rc)
        rc = json_parse(out, buf_str(&c.body), e);
    if (!rc && c.status != 200)
        rc = err_set(e, ERR_IO, "%s", json_str_at(*out, "message", "the server refuses"));
    buf_deinit(&c.body);
    return rc;
}

/* ---- what is said ---- */

static void print_names(const json_t *doc)
{
    const json_t *name;
    size_t i;

    json_array_foreach(json_object_get(doc, "created"), i, name)
        printf("Snapshot %s saved.\n", json_string_value(name));
    json_array_foreach(json_object_get(doc, "deleted"), i, name)
        printf("Snapshot %s deleted.\n", json_string_value(name));
}

static void print_list(const json_t *doc, const char *output)
{
    const json_t *item;
    int width = 4, width_at = 8;
    size_t i;

    if (strcmp(output, "json") == 0) {
        auto_buf b = BUF(2 * ANSWER_MAX);
        err_ignore(json_write_indented(&b, doc, 2)); /* it fitted with less room */
        puts(buf_cstr(&b));
        return;
    }
    json_array_foreach(json_object_get(doc, "items"), i, item)
    {
        width = MAX(width, (int)strlen(json_str_at(item, "spec.snapshotName", "")));
        width_at = MAX(width_at, (int)strlen(json_str_at(item, "spec.location", "")));
    }
    printf("%-*s %-*s %10s %s\n", width, "Name", width_at, "Location", "Size", "Created");
    json_array_foreach(json_object_get(doc, "items"), i, item)
        printf("%-*s %-*s %10s %s\n", width, json_str_at(item, "spec.snapshotName", ""), width_at,
               json_str_at(item, "spec.location", ""), json_str_at(item, "status.size", ""),
               json_str_at(item, "status.creationTime", ""));
}

/* ---- the command ---- */

/* rest: the names of snapshots */
static json_t *request_of(const char *operation, const struct options *o,
                          const struct flag_list *rest)
{
    const char *dir = o->dir ? o->dir : o->dir_alias;
    json_t *r = json_pack("{s:s, s:b, s:I}", "operation", operation, "compress",
                          o->compress || o->compress_alias, "retention",
                          (json_int_t)(o->retention ? o->retention : o->retention_alias));
    json_t *names = json_array();

    if (dir)
        json_object_set_new(r, "dir", json_string(dir));
    if (o->name && *o->name)
        json_array_append_new(names, json_string(o->name));
    for (size_t i = 0; i < rest->n; i++)
        json_array_append_new(names, json_string(rest->v[i]));
    json_object_set_new(r, "name", names);
    return r;
}

static int run(const char *operation, int argc, char **argv, struct options *o, struct err *e)
{
    struct flag_list words = { 0 }, rest = { 0 };
    const char *config = take_config_flag(&argc, argv);
    json_auto_t *doc = NULL, *request = NULL;
    bool deletes = strcmp(operation, "delete") == 0;
    int rc;

    rc = flags_inject_config(flags, ARRAY_LEN(flags), config, true, argc, argv, &words, e);
    if (!rc)
        rc = flags_parse(flags, ARRAY_LEN(flags), o, (int)words.n, words.v, deletes ? &rest : NULL,
                         e);
    log_level_min = o->debug ? LOG_LVL_DEBUG : LOG_LVL_WARN;
    if (!rc) {
        request = request_of(operation, o, &rest);
        rc = ask(&doc, o, request, e);
    }
    if (!rc && strcmp(operation, "list") == 0)
        print_list(doc, o->output);
    else if (!rc)
        print_names(doc);
    flag_list_free(&words);
    flag_list_free(&rest);
    return rc;
}

int cmd_etcd_snapshot(int argc, char **argv)
{
    static const struct {
        const char *word, *operation;
    } rows[] = { { "save", "save" }, { "ls", "list" },       { "list", "list" },
                 { "l", "list" },    { "delete", "delete" }, { "prune", "prune" } };
    const char *operation = argc == 0 || argv[0][0] == '-' ? "save" : NULL; /* K3s: by default */
    struct options o = { 0 };
    struct err e = { 0 };
    int code = 0;

    if (wants_help(argc, argv))
        return show_help("etcd-snapshot save|ls|delete|prune", flags, ARRAY_LEN(flags));
    for (size_t i = 0; !operation && i < ARRAY_LEN(rows); i++)
        if (strcmp(argv[0], rows[i].word) == 0) {
            operation = rows[i].operation;
            argc--;
            argv++;
        }
    if (!operation) {
        fprintf(stderr, "coracle: etcd-snapshot: \"%s\" is not known: save, ls, delete, prune\n",
                argv[0]);
        return 1;
    }
    if (run(operation, argc, argv, &o, &e))
        code = die("etcd-snapshot", &e);
    flags_deinit(flags, ARRAY_LEN(flags), &o);
    return code;
}
