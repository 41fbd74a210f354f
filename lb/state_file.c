#include "lb/state_file.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/file.h"

#include <stdio.h>

#define STATE_MAX_BYTES (64 * 1024) /* 64 addresses of 263 bytes, with room for foreign keys */

/* host:port with a port number; what a connect can use. */
static bool is_address(struct str s)
{
    const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
    uint64_t port;

    return colon && colon > s.p && s.n <= LB_ADDRESS_MAX_BYTES && !memchr(s.p, '/', s.n) &&
           str_to_u64(str_n(colon + 1, s.n - (size_t)(colon + 1 - s.p)), &port) && port > 0 &&
           port < 65536;
}

int lb_state_file_parse(struct lb_state_file *out, struct str text, struct err *e)
{
    struct lb_state_file f = { 0 };
    json_auto_t *j = NULL;
    const char *url;
    json_t *list, *v;
    size_t i;

    if (json_parse(&j, text, e) || json_path_str(&url, j, "ServerURL", e))
        return (int)e->code;
    if (strlen(url) >= sizeof f.server_url)
        return err_set(e, ERR_LIMIT, "ServerURL is longer than %zu bytes", sizeof f.server_url - 1);
    memcpy(f.server_url, url, strlen(url));
    list = json_at(j, "ServerAddresses");
    json_array_foreach(list, i, v)
    {
        struct str s = str_n(json_string_value(v), json_string_length(v));
        if (f.n_addresses < LB_SERVERS_MAX && is_address(s))
            memcpy(f.addresses[f.n_addresses++], s.p, s.n);
    }
    *out = f;
    return 0;
}

int lb_state_file_format(struct buf *out, const struct lb_state_file *f)
{
    json_auto_t *j = json_object();
    json_t *list = json_array();

    for (size_t i = 0; i < f->n_addresses; i++)
        json_array_append_new(list, json_str_of(str_of(f->addresses[i])));
    json_object_set_new(j, "ServerURL", json_str_of(str_of(f->server_url)));
    json_object_set_new(j, "ServerAddresses", list);
    return json_write_indented(out, j, 2);
}

int lb_state_file_read(struct lb_state_file *out, const char *path, struct err *e)
{
    auto_buf text = BUF(STATE_MAX_BYTES);

    if (file_read(path, STATE_MAX_BYTES, &text, e) || lb_state_file_parse(out, buf_str(&text), e))
        return err_wrap(e, "load balancer state %s", path);
    return 0;
}

int lb_state_file_write(const char *path, const struct lb_state_file *f, struct err *e)
{
    auto_free char *dir = mem_strdup(path);
    auto_buf text = BUF(STATE_MAX_BYTES);
    char *slash = strrchr(dir, '/');

    if (slash)
        *slash = '\0';
    if (lb_state_file_format(&text, f))
        return err_set(e, ERR_LIMIT, "load balancer state %s: too long", path);
    if ((slash && file_mkdirs(dir, 0755, e)) || file_write_atomic(path, buf_str(&text), 0644, e))
        return err_wrap(e, "load balancer state");
    return 0;
}
