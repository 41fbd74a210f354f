#include "fake_api.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/tcp.h"
#include "base/kube/metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void reply(struct http_req *r, int status, json_t *body_take)
{
    auto_free char *text = json_text(body_take);

    http_reply(r, status, "application/json", str_of(text), NULL, 0);
    json_decref(body_take);
}

static void emit(struct fake_api *f, const char *type, json_t *object)
{
    json_auto_t *event = json_pack("{s:s, s:O}", "type", type, "object", object);
    auto_free char *text = json_text(event);

    if (!f->watch)
        return;
    http_reply_write(f->watch, text, strlen(text));
    http_reply_write(f->watch, "\n", 1);
}

static void bump(struct fake_api *f, json_t *pod)
{
    char version[16];

    snprintf(version, sizeof version, "%u", ++f->version);
    meta_set_str(pod, "resourceVersion", version);
}

void fake_api_put(struct fake_api *f, json_t *pod)
{
    bool is_new = !json_object_get(f->pods, meta_uid(pod));

    bump(f, pod);
    json_object_set(f->pods, meta_uid(pod), pod);
    emit(f, is_new ? "ADDED" : "MODIFIED", pod);
    json_decref(pod);
}

json_t *fake_api_get(const struct fake_api *f, const char *uid)
{
    return json_object_get(f->pods, uid);
}

void fake_api_delete(struct fake_api *f, const char *uid, int64_t grace_s)
{
    json_t *pod = json_deep_copy(fake_api_get(f, uid));

    meta_set_str(pod, "deletionTimestamp", "2026-11-22T12:00:00Z");
    meta_set_int(pod, "deletionGracePeriodSeconds", grace_s);
    fake_api_put(f, pod);
}

void fake_api_remove(struct fake_api *f, const char *uid)
{
    json_t *pod = json_incref(fake_api_get(f, uid));

    bump(f, pod);
    json_object_del(f->pods, uid);
    emit(f, "DELETED", pod);
    json_decref(pod);
}

static json_t *by_path(struct fake_api *f, struct str path)
{
    const char *key;
    json_t *pod;

    json_object_foreach(f->pods, key, pod)
    {
        auto_free char *mine =
            mem_printf("/api/v1/namespaces/%s/pods/%s", meta_namespace(pod), meta_name(pod));

        if (str_is(path, mine))
            return pod;
    }
    return NULL;
}

static void on_event_body(struct http_req *r, void *arg, struct str body)
{
    struct fake_api *f = arg;
    json_auto_t *o = NULL;
    struct err e;

    assert_int_equal(json_parse(&o, body, &e), 0);
    err_ignore(buf_addf(&f->events, "%s %s: %s\n", json_str_at(o, "reason", "?"),
                        json_str_at(o, "involvedObject.name", "?"),
                        json_str_at(o, "message", "?")));
    reply(r, 201, json_incref(o));
}

static void on_status_body(struct http_req *r, void *arg, struct str body)
{
    struct fake_api *f = arg;
    struct str path = http_req_path(r);
    json_t *old = by_path(f, str_n(path.p, path.n - 7)), *pod, *status;
    json_auto_t *o = NULL;
    const char *key;
    json_t *value;
    struct err e;

    if (!old || f->refuse_patches) {
        reply(r, old ? 500 : 404, json_object());
        return;
    }
    assert_int_equal(json_parse(&o, body, &e), 0);
    assert_string_equal(json_str_at(o, "metadata.uid", ""), meta_uid(old));
    f->n_patches++;
    pod = json_deep_copy(old);
    if (!json_object_get(pod, "status"))
        json_object_set_new(pod, "status", json_object());
    status = json_object_get(pod, "status");
    json_object_foreach(json_object_get(o, "status"), key, value)
    {
        if (json_is_null(value))
            json_object_del(status, key);
        else
            json_object_set(status, key, value);
    }
    fake_api_put(f, json_incref(pod));
    reply(r, 200, pod);
}

static void on_delete_body(struct http_req *r, void *arg, struct str body)
{
    struct fake_api *f = arg;
    json_t *pod = by_path(f, http_req_path(r));
    json_auto_t *o = NULL;
    struct err e;

    if (!pod) {
        reply(r, 404, json_object());
        return;
    }
    assert_int_equal(json_parse(&o, body, &e), 0);
    assert_int_equal(json_i64_at(o, "gracePeriodSeconds", -1), 0);
    assert_string_equal(json_str_at(o, "preconditions.uid", ""), meta_uid(pod));
    reply(r, 200, json_incref(pod));
    fake_api_remove(f, meta_uid(pod));
}

static void on_watch_over(struct http_req *r, void *arg, const struct err *e)
{
    struct fake_api *f = arg;

    (void)e;
    if (f->watch == r)
        f->watch = NULL;
}

static void list(struct fake_api *f, struct http_req *r)
{
    static const struct http_req_events events = { .on_done = on_watch_over };
    struct http_header type = { STR("content-type"), STR("application/json") };
    auto_free char *query = str_dup(http_req_query(r));
    char version[16];
    json_t *items = json_array(), *pod;
    const char *key;

    assert_non_null(strstr(query, "spec.nodeName%3Dnode1"));
    if (strstr(query, "watch=")) {
        json_decref(items);
        http_req_accept(r, &events, f);
        f->watch = r;
        http_reply_start(r, 200, &type, 1, -1);
        return;
    }
    snprintf(version, sizeof version, "%u", f->version);
    json_object_foreach(f->pods, key, pod) json_array_append(items, pod);
    reply(r, 200,
          json_pack("{s:s, s:s, s:{s:s}, s:o}", "kind", "PodList", "apiVersion", "v1", "metadata",
                    "resourceVersion", version, "items", items));
}

static void collect(struct http_req *r, struct fake_api *f,
                    void (*done)(struct http_req *r, void *arg, struct str body))
{
    static const struct http_req_events none = { 0 };

    http_req_accept(r, &none, f);
    http_req_read_body(r, 1024 * 1024, done);
}

static void on_request(struct http_req *r, void *arg)
{
    struct fake_api *f = arg;
    struct str method = http_req_method(r), path = http_req_path(r);

    if (str_is(path, "/api/v1/pods"))
        list(f, r);
    else if (str_is(method, "POST") && str_ends(path, STR("/events")))
        collect(r, f, on_event_body);
    else if (str_is(method, "PATCH") && str_ends(path, STR("/status")))
        collect(r, f, on_status_body);
    else if (str_is(method, "DELETE"))
        collect(r, f, on_delete_body);
    else
        reply(r, 404, json_object());
}

static void on_accept(void *arg, struct stream *s)
{
    struct fake_api *f = arg;

    http_server_serve(f->server, s);
}

void fake_api_start(struct fake_api *f, uv_loop_t *loop)
{
    struct http_server_config sc = { .on_request = on_request, .arg = f };
    char authority[32];
    struct kube_client_config kc = { .endpoint = { .authority = authority, .proto = HTTP_H1 } };
    struct err e;

    *f = (struct fake_api){ .loop = loop, .pods = json_object(), .events = BUF(1 << 20) };
    http_server_new(&f->server, loop, &sc);
    if (tcp_listen(&f->listener, loop, "127.0.0.1", 0, on_accept, f, &e))
        fail_msg("%s", e.text);
    snprintf(authority, sizeof authority, "127.0.0.1:%u", listener_port(f->listener));
    kube_client_new(&f->client, loop, &kc);
}

struct stop {
    struct fake_api *f;
    void (*done)(void *arg);
    void *arg;
};

static void on_server_closed(void *arg)
{
    struct stop *s = arg;

    json_decref(s->f->pods);
    buf_deinit(&s->f->events);
    s->done(s->arg);
    free(s);
}

static void on_listener_closed(void *arg)
{
    struct stop *s = arg;

    http_server_close(s->f->server, on_server_closed, s);
}

static void on_client_closed(void *arg)
{
    struct stop *s = arg;

    listener_close(s->f->listener, on_listener_closed, s);
}

void fake_api_stop(struct fake_api *f, void (*done)(void *arg), void *arg)
{
    struct stop *s = mem_alloc(sizeof *s);

    *s = (struct stop){ f, done, arg };
    kube_client_close(f->client, on_client_closed, s);
}
