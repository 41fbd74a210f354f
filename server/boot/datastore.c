#include "server/boot/datastore.h"

#include "base/core/mem.h"
#include "base/io/file.h"

bool datastore_is_shared(const struct server_options *o)
{
    return o->datastore_endpoint && *o->datastore_endpoint;
}

static bool given(const char *text)
{
    return text && *text;
}

static int check_endpoint(const struct server_options *o, struct err *e)
{
    static const char *const others[] = { "mysql",  "postgres",   "postgresql", "nats",
                                          "sqlite", "litestream", "t4" };

    if (!datastore_is_shared(o) &&
        (given(o->datastore_cafile) || given(o->datastore_certfile) || given(o->datastore_keyfile)))
        return err_set(e, ERR_INVALID,
                       "--datastore-cafile, --datastore-certfile and --datastore-keyfile need "
                       "--datastore-endpoint");
    for (size_t i = 0; datastore_is_shared(o) && i < ARRAY_LEN(others); i++) {
        size_t n = strlen(others[i]);
        if (strncmp(o->datastore_endpoint, others[i], n) == 0 &&
            strncmp(o->datastore_endpoint + n, "://", 3) == 0)
            return err_set(e, ERR_INVALID,
                           "--datastore-endpoint: K3s knows %s://, this version of Coracle does "
                           "not; it takes etcd (http://host:2379 or https://), or SQLite without "
                           "the flag",
                           others[i]);
    }
    return 0;
}

/* A K3s left its datastore here: starting beside it would serve an empty cluster under its name. */
static int refuse_foreign_data(const char *server_dir, struct err *e)
{
    static const char *const marks[] = { "db/state.db", "db/etcd" };

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        auto_free char *path = mem_printf("%s/%s", server_dir, marks[i]);
        if (file_exists(path))
            return err_set(e, ERR_INVALID,
                           "%s is the datastore of a K3s and cannot be taken over; use another "
                           "--data-dir",
                           path);
    }
    return 0;
}

int datastore_check(const struct server_options *o, const char *server_dir, struct err *e)
{
    return check_endpoint(o, e) || refuse_foreign_data(server_dir, e) ? (int)e->code : 0;
}

struct store_etcd_options datastore_etcd(const struct server_options *o, const char *node_name)
{
    return (struct store_etcd_options){
        .endpoints = o->datastore_endpoint,
        .ca_file = o->datastore_cafile,
        .cert_file = o->datastore_certfile,
        .key_file = o->datastore_keyfile,
        .writer = node_name,
    };
}

int datastore_open(struct store **out, uv_loop_t *loop, const struct server_options *o,
                   const char *server_dir, const char *node_name, struct err *e)
{
    const struct store_etcd_options etcd = datastore_etcd(o, node_name);
    auto_free char *dir = mem_printf("%s/db", server_dir);
    auto_free char *path = mem_printf("%s/coracle.db", dir);

    if (datastore_is_shared(o))
        return store_etcd_open(out, loop, &etcd, e);
    if (file_mkdirs(dir, 0700, e))
        return (int)e->code;
    return store_sqlite_open(out, loop, path, e);
}
