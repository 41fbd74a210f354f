/*
 * H2 on nghttp2. Streams are ours (struct h2_stream, hung on nghttp2's as user data) and live from
 * the first header that is sent or received until nghttp2 closes them.
 *
 * Outgoing data is handed to nghttp2 without a copy: the read callback only says how much there is,
 * the send-data callback then moves it behind the frame head into the caller's buffer.
 */
#include "base/http/h2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/core/list.h"
#include "base/core/mem.h"
#include "base/http/h2_head.h"
#include "base/io/stream.h"

#define N_STREAMS_MAX 250
/* Fast resets (CVE-2023-44487): a burst, then so many per second. A client that cancels more
 * streams than that is not a Kubernetes client. */
#define RESET_BURST       1000
#define RESETS_PER_S      100
#define ACKS_MAX          1000 /* pings and settings we owe an answer to */
#define SETTINGS_MAX      32   /* entries in one frame */
#define CONTINUATIONS_MAX 8    /* 128 KiB of compressed head: twice what is accepted */
#define OUT_MAX_BYTES     (512u * 1024 * 1024) /* as a stream's queue */
#define OUT_SLACK_BYTES   (64 * 1024) /* sent bytes at the front of a buffer that may stay */

struct h2 {
    nghttp2_session *ng;
    struct h2_config config;
    struct list streams;
    size_t n_streams;
    bool got_goaway, sent_goaway, failed;
    struct buf *out; /* during h2_pull */
    size_t out_max;
    struct buf names; /* names in lower case, during a submit */
};

struct h2_stream {
    struct h2 *h;
    int32_t id;
    struct list in_streams;
    void *user;

    struct h2_head_in in;
    bool remote_ended, local_ended, resetting;
    size_t n_unconsumed;

    struct buf out;
    size_t out_at; /* bytes of out that went already */
    bool end, deferred, above_high, has_trailers;
    nghttp2_nv *trailer_nv; /* to send; one block with its bytes */
    size_t n_trailer_nv;
};

/* ---- streams ---- */

static struct h2_stream *stream_new(struct h2 *h)
{
    struct h2_stream *s = mem_alloc(sizeof *s);

    s->h = h;
    h2_head_in_init(&s->in, h->config.server);
    s->out = BUF(OUT_MAX_BYTES);
    list_push(&h->streams, &s->in_streams);
    h->n_streams++;
    return s;
}

static void stream_free(struct h2_stream *s)
{
    list_remove(&s->in_streams);
    s->h->n_streams--;
    h2_head_in_deinit(&s->in);
    buf_deinit(&s->out);
    free(s->trailer_nv);
    free(s);
}

static struct h2_stream *stream_of(nghttp2_session *ng, int32_t id)
{
    return nghttp2_session_get_stream_user_data(ng, id);
}

size_t h2_queued(const struct h2_stream *s)
{
    return s->out.n - s->out_at;
}

/* ---- incoming ---- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *s;

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s = stream_new(h);
        s->id = frame->hd.stream_id;
        nghttp2_session_set_stream_user_data(ng, s->id, s);
    }
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
    struct h2_stream *s = stream_of(ng, frame->hd.stream_id);

    (void)flags;
    (void)arg;
    if (!s || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    switch (h2_head_in_add(&s->in, str_n(name, n_name), str_n(value, n_value))) {
    case H2_HEAD_GOOD:
        return 0;
    case H2_HEAD_RESET:
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    case H2_HEAD_TOO_BIG:
        break;
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    const struct h2_events *ev = h->config.events;
    struct h2_stream *s = frame->hd.stream_id ? stream_of(ng, frame->hd.stream_id) : NULL;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (s && !s->in.is_whole && h2_head_in_end(&s->in, end))
            ev->on_head(h->config.arg, s, &s->in.head);
        break;
    case NGHTTP2_DATA:
        break;
    case NGHTTP2_GOAWAY:
        h->got_goaway = true;
        if (ev->on_goaway)
            ev->on_goaway(h->config.arg, frame->goaway.last_stream_id, frame->goaway.error_code);
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && ev->on_pong)
            ev->on_pong(h->config.arg);
        return 0;
    default:
        return 0;
    }
    if (s && end && !s->remote_ended) {
        s->remote_ended = true;
        ev->on_end(h->config.arg, s);
    }
    return 0;
}

static int on_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                    void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *s = stream_of(ng, id);

    (void)flags;
    if (!s || s->resetting) {
        nghttp2_session_consume(ng, id, n);
        return 0;
    }
    s->n_unconsumed += n;
    h->config.events->on_data(h->config.arg, s, (const char *)p, n);
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t error_code, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *s = stream_of(ng, id);

    if (!s)
        return 0;
    if (s->n_unconsumed > 0) /* nobody can give it back any more */
        nghttp2_session_consume_connection(ng, s->n_unconsumed);
    h->config.events->on_close(h->config.arg, s, error_code);
    stream_free(s);
    return 0;
}

/* ---- outgoing ---- */

static ssize_t on_send(nghttp2_session *ng, const uint8_t *p, size_t n, int flags, void *arg)
{
    struct h2 *h = arg;

    (void)ng;
    (void)flags;
    if (h->out->n >= h->out_max)
        return NGHTTP2_ERR_WOULDBLOCK;
    return buf_add(h->out, p, n) ? NGHTTP2_ERR_CALLBACK_FAILURE : (ssize_t)n;
}

static ssize_t on_read_data(nghttp2_session *ng, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
                            nghttp2_data_source *source, void *arg)
{
    struct h2_stream *s = source->ptr;
    size_t n_left = h2_queued(s);

    (void)p;
    (void)arg;
    if (n_left == 0 && !s->end) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n_left <= n && s->end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->has_trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (nghttp2_submit_trailer(ng, id, s->trailer_nv, s->n_trailer_nv))
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)MIN(n_left, n);
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t n,
                        nghttp2_data_source *source, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *s = source->ptr;

    (void)ng;
    (void)frame; /* we never pad */
    if (h->out->n >= h->out_max)
        return NGHTTP2_ERR_WOULDBLOCK;
    if (buf_add(h->out, head, 9) || (n > 0 && buf_add(h->out, s->out.p + s->out_at, n)))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    s->out_at += n;
    if (s->out_at == s->out.n) {
        s->out_at = 0;
        buf_deinit(&s->out); /* most streams are watches, silent for minutes */
    } else if (s->out_at >= OUT_SLACK_BYTES && s->out_at >= s->out.n / 2) {
        buf_drop(&s->out, s->out_at);
        s->out_at = 0;
    }
    if (s->above_high && h2_queued(s) <= STREAM_HIGH_BYTES / 2) {
        s->above_high = false;
        h->config.events->on_drain(h->config.arg, s);
    }
    return 0;
}

/* An answer that is complete before its request: the rest of it is not wanted (RFC 9113 8.1). The
 * reset must not overtake the answer, so it is made when the last frame is on its way. */
static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *s;

    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
        return 0;
    s = stream_of(ng, frame->hd.stream_id);
    if (!s)
        return 0;
    s->local_ended = true;
    if (h->config.server && !s->remote_ended && !s->resetting) {
        s->resetting = true;
        nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* ---- the session ---- */

static void fatal(int r) /* only memory can be the reason where this is used */
{
    if (r) {
        fprintf(stderr, "nghttp2: %s\n", nghttp2_strerror(r));
        abort();
    }
}

/*
 * A session allocates a buffer for the largest frame, 16 KiB, and keeps it for its life; our frames
 * bring their data themselves (NO_COPY), so what it sees are a few hundred bytes at its start. With
 * many sessions this is most of a server's memory: the buffer gets pages of its own, whose
 * untouched ones are none.
 */
#define PAGE_BYTES     4096u
#define BIG_BYTES      (3 * PAGE_BYTES)
#define WHOLE_PAGES(n) (((n) + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1))

static void *on_malloc(size_t n, void *arg)
{
    void *p;

    (void)arg;
    if (n < BIG_BYTES)
        return malloc(n);
    p = aligned_alloc(PAGE_BYTES, WHOLE_PAGES(n));
    if (p) /* what was there before is not wanted; a failure only costs the memory */
        err_ignore(madvise(p, WHOLE_PAGES(n), MADV_DONTNEED));
    return p;
}

static void on_free(void *p, void *arg)
{
    (void)arg;
    free(p);
}

static void *on_calloc(size_t n, size_t size, void *arg)
{
    (void)arg;
    return calloc(n, size);
}

static void *on_realloc(void *p, size_t n, void *arg)
{
    return p ? realloc(p, n) : on_malloc(n, arg);
}

static nghttp2_session *session_new(struct h2 *h)
{
    nghttp2_mem mem = { NULL, on_malloc, on_free, on_calloc, on_realloc }; /* it is copied */
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    nghttp2_session *ng;

    fatal(nghttp2_session_callbacks_new(&cb));
    fatal(nghttp2_option_new(&opt));
    nghttp2_session_callbacks_set_send_callback(cb, on_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_no_closed_streams(opt, 1);
    nghttp2_option_set_stream_reset_rate_limit(opt, RESET_BURST, RESETS_PER_S);
    nghttp2_option_set_max_outbound_ack(opt, ACKS_MAX);
    nghttp2_option_set_max_settings(opt, SETTINGS_MAX);
    nghttp2_option_set_max_continuations(opt, CONTINUATIONS_MAX);
    nghttp2_option_set_max_send_header_block_length(opt, 4 * HTTP_HEADERS_MAX_BYTES);
    if (h->config.server)
        fatal(nghttp2_session_server_new3(&ng, cb, h, opt, &mem));
    else
        fatal(nghttp2_session_client_new3(&ng, cb, h, opt, &mem));
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
    return ng;
}

struct h2 *h2_new(const struct h2_config *c)
{
    struct h2 *h = mem_alloc(sizeof *h);
    uint32_t n_streams = c->n_streams_max ? c->n_streams_max : N_STREAMS_MAX;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_BYTES },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEADERS_MAX_BYTES + HTTP_TARGET_MAX_BYTES },
        { c->server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
          c->server ? n_streams : 0 },
    };

    h->config = *c;
    list_init(&h->streams);
    h->names = BUF(HTTP_HEADERS_MAX_BYTES);
    h->ng = session_new(h);
    fatal(nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)));
    fatal(nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, H2_WINDOW_BYTES));
    return h;
}

void h2_free(struct h2 *h)
{
    if (!h)
        return;
    nghttp2_session_del(h->ng); /* calls nothing back */
    list_each (s, &h->streams, struct h2_stream, in_streams)
        stream_free(s);
    buf_deinit(&h->names);
    free(h);
}

/* After this a pull yields a GOAWAY, if that is still possible. */
static int session_fail(struct h2 *h, int r, struct err *e)
{
    bool flood = r == NGHTTP2_ERR_FLOODED || r == NGHTTP2_ERR_CALLBACK_FAILURE;

    h->failed = true;
    nghttp2_session_terminate_session(h->ng,
                                      flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
    return err_set(e, flood ? ERR_LIMIT : ERR_PROTOCOL, "HTTP/2: %s", nghttp2_strerror(r));
}

int h2_feed(struct h2 *h, const char *p, size_t n, struct err *e)
{
    ssize_t r;

    if (h->failed)
        return err_set(e, ERR_PROTOCOL, "HTTP/2: the connection has failed");
    r = nghttp2_session_mem_recv(h->ng, (const uint8_t *)p, n);
    return r < 0 ? session_fail(h, (int)r, e) : 0;
}

int h2_pull(struct h2 *h, struct buf *out, size_t max_bytes, struct err *e)
{
    int r;

    h->out = out;
    h->out_max = max_bytes;
    r = nghttp2_session_send(h->ng);
    h->out = NULL;
    if (r == 0)
        return 0;
    if (h->failed)
        return err_set(e, ERR_PROTOCOL, "HTTP/2: the connection has failed");
    return session_fail(h, r, e);
}

bool h2_wants_write(const struct h2 *h)
{
    return nghttp2_session_want_write(h->ng) != 0;
}

bool h2_is_over(const struct h2 *h)
{
    return !nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng);
}

size_t h2_n_streams(const struct h2 *h)
{
    return h->n_streams;
}

size_t h2_n_streams_left(const struct h2 *h)
{
    uint32_t max =
        nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    if (h->got_goaway || h->sent_goaway || h->failed || h->n_streams >= max)
        return 0;
    return max - h->n_streams;
}

/* ---- submitting ---- */

static bool is_left_out(struct str name, struct str value)
{
    static const char *const names[] = { "connection",        "keep-alive", "proxy-connection",
                                         "transfer-encoding", "upgrade",    "host" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_nocase(name, str_of(names[i])))
            return true;
    return str_eq_nocase(name, STR("te")) && !str_eq_nocase(value, STR("trailers"));
}

static nghttp2_nv nv_of(struct str name, struct str value)
{
    /* nghttp2 copies; its pointers are not const for history's sake */
    return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.p,
                         .namelen = name.n,
                         .value = (uint8_t *)(uintptr_t)value.p,
                         .valuelen = value.n };
}

static size_t n_bytes_of_names(const struct http_header *headers, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += headers[i].name.n;
    return sum;
}

/* Appends to nv, names in lower case (in h->names, which stays where it is). */
static int add_nvs(struct h2 *h, nghttp2_nv *nv, size_t *n_nv, const struct http_header *headers,
                   size_t n_headers, struct err *e)
{
    buf_clear(&h->names);
    if (buf_reserve(&h->names, n_bytes_of_names(headers, n_headers) + 1))
        return err_set(e, ERR_LIMIT, "the header names are too long");
    for (size_t i = 0; i < n_headers; i++) {
        struct str name = headers[i].name, value = str_trim(headers[i].value);
        char *to = h->names.p + h->names.n;

        if (is_left_out(name, value))
            continue;
        for (size_t j = 0; j < name.n; j++)
            to[j] = (char)(name.p[j] >= 'A' && name.p[j] <= 'Z' ? name.p[j] + 32 : name.p[j]);
        h->names.n += name.n;
        if (name.n == 0 || name.p[0] == ':' ||
            !nghttp2_check_header_name((const uint8_t *)to, name.n) ||
            !nghttp2_check_header_value((const uint8_t *)value.p, value.n))
            return err_set(e, ERR_INVALID, "header \"" STR_FMT "\" has forbidden bytes",
                           STR_ARG(str_n(name.p, MIN(name.n, (size_t)64))));
        nv[(*n_nv)++] = nv_of(str_n(to, name.n), value);
    }
    return 0;
}

static int submit_err(int r, struct err *e)
{
    switch (r) {
    case NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE:
    case NGHTTP2_ERR_START_STREAM_NOT_ALLOWED:
        return err_set(e, ERR_CLOSED, "HTTP/2: no new streams on this connection");
    default:
        return err_set(e, ERR_PROTOCOL, "HTTP/2: %s", nghttp2_strerror(r));
    }
}

enum { N_NV_ON_STACK = 48 };

int h2_request(struct h2 *h, struct h2_stream **out, struct str method, struct str scheme,
               struct str authority, struct str path, const struct http_header *headers,
               size_t n_headers, bool end, void *user, struct err *e)
{
    nghttp2_nv on_stack[N_NV_ON_STACK], *nv = on_stack;
    auto_free void *heap = NULL;
    size_t n_nv = 0;
    struct h2_stream *s;
    nghttp2_data_provider provider = { .read_callback = on_read_data };
    int32_t id;

    if (h->got_goaway || h->sent_goaway || h->failed)
        return err_set(e, ERR_CLOSED, "HTTP/2: no new streams on this connection");
    if (h2_n_streams_left(h) == 0)
        return err_set(e, ERR_LIMIT, "HTTP/2: %zu streams are open", h->n_streams);
    if (!nghttp2_check_path((const uint8_t *)path.p, path.n) ||
        !nghttp2_check_authority((const uint8_t *)authority.p, authority.n) ||
        !nghttp2_check_method((const uint8_t *)method.p, method.n))
        return err_set(e, ERR_INVALID, "method, path or authority has forbidden bytes");
    if (n_headers + 4 > N_NV_ON_STACK)
        nv = heap = mem_calloc(n_headers + 4, sizeof *nv);
    nv[n_nv++] = nv_of(STR(":method"), method);
    if (!str_is(method, "CONNECT")) {
        nv[n_nv++] = nv_of(STR(":scheme"), scheme);
        nv[n_nv++] = nv_of(STR(":path"), path);
    }
    nv[n_nv++] = nv_of(STR(":authority"), authority);
    if (add_nvs(h, nv, &n_nv, headers, n_headers, e))
        return e->code;
    s = stream_new(h);
    s->user = user;
    s->end = end;
    provider.source.ptr = s;
    id = nghttp2_submit_request(h->ng, NULL, nv, n_nv, end ? NULL : &provider, s);
    if (id < 0) {
        stream_free(s);
        return submit_err(id, e);
    }
    s->id = id;
    *out = s;
    return 0;
}

int h2_respond(struct h2_stream *s, int status, const struct http_header *headers, size_t n_headers,
               bool end, struct err *e)
{
    nghttp2_nv on_stack[N_NV_ON_STACK], *nv = on_stack;
    auto_free void *heap = NULL;
    size_t n_nv = 0;
    nghttp2_data_provider provider = { .source.ptr = s, .read_callback = on_read_data };
    char text[12];
    int r;

    if (status < 100 || status > 999)
        return err_set(e, ERR_INVALID, "%d is not a status", status);
    if (n_headers + 1 > N_NV_ON_STACK)
        nv = heap = mem_calloc(n_headers + 1, sizeof *nv);
    nv[n_nv++] =
        nv_of(STR(":status"), str_n(text, (size_t)snprintf(text, sizeof text, "%d", status)));
    if (add_nvs(s->h, nv, &n_nv, headers, n_headers, e))
        return e->code;
    s->end = end;
    r = nghttp2_submit_response(s->h->ng, s->id, nv, n_nv, end ? NULL : &provider);
    return r ? submit_err(r, e) : 0;
}

static void go_on(struct h2_stream *s)
{
    if (!s->deferred)
        return;
    s->deferred = false;
    nghttp2_session_resume_data(s->h->ng, s->id); /* fails only for a stream that is closing */
}

void h2_write(struct h2_stream *s, const void *p, size_t n)
{
    if (n == 0 || s->end || s->resetting)
        return;
    if (buf_add(&s->out, p, n)) {
        h2_reset(s, H2_INTERNAL_ERROR); /* a writer that never waits */
        return;
    }
    if (h2_queued(s) >= STREAM_HIGH_BYTES) /* a writer may stop at it exactly */
        s->above_high = true;
    go_on(s);
}

void h2_end(struct h2_stream *s)
{
    if (s->end)
        return;
    s->end = true;
    go_on(s);
}

int h2_end_trailers(struct h2_stream *s, const struct http_header *headers, size_t n_headers,
                    struct err *e)
{
    auto_free nghttp2_nv *nv = mem_calloc(n_headers + 1, sizeof *nv);
    size_t n_nv = 0, n_bytes = 0;
    char *at;

    if (s->end)
        return err_set(e, ERR_INVALID, "the stream has ended already");
    if (add_nvs(s->h, nv, &n_nv, headers, n_headers, e))
        return e->code;
    for (size_t i = 0; i < n_nv; i++)
        n_bytes += nv[i].namelen + nv[i].valuelen;
    s->trailer_nv = mem_alloc((n_nv + 1) * sizeof *nv + n_bytes);
    at = (char *)(s->trailer_nv + n_nv + 1);
    for (size_t i = 0; i < n_nv; i++) {
        struct str name = str_n(at, nv[i].namelen), value;
        memcpy(at, nv[i].name, nv[i].namelen);
        at += nv[i].namelen;
        value = str_n(at, nv[i].valuelen);
        if (nv[i].valuelen > 0)
            memcpy(at, nv[i].value, nv[i].valuelen);
        at += nv[i].valuelen;
        s->trailer_nv[i] = nv_of(name, value);
    }
    s->n_trailer_nv = n_nv;
    s->has_trailers = n_nv > 0;
    h2_end(s);
    return 0;
}

void h2_reset(struct h2_stream *s, uint32_t error_code)
{
    if (s->resetting)
        return;
    s->resetting = true;
    s->above_high = false;
    nghttp2_submit_rst_stream(s->h->ng, NGHTTP2_FLAG_NONE, s->id, error_code);
}

void h2_consume(struct h2_stream *s, size_t n)
{
    n = MIN(n, s->n_unconsumed);
    s->n_unconsumed -= n;
    if (n > 0)
        nghttp2_session_consume(s->h->ng, s->id, n);
}

void h2_set_user(struct h2_stream *s, void *user)
{
    s->user = user;
}

void *h2_user(const struct h2_stream *s)
{
    return s->user;
}

int32_t h2_id(const struct h2_stream *s)
{
    return s->id;
}

const struct h2_head *h2_head(const struct h2_stream *s)
{
    return &s->in.head;
}

const struct http_headers *h2_trailers(const struct h2_stream *s)
{
    return &s->in.trailers;
}

void h2_ping(struct h2 *h)
{
    fatal(nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL));
}

void h2_goaway(struct h2 *h, uint32_t error_code)
{
    h->sent_goaway = true;
    nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->ng),
                          error_code, NULL, 0);
}

int h2_is_preface(const char *p, size_t n)
{
    size_t n_cmp = MIN(n, (size_t)NGHTTP2_CLIENT_MAGIC_LEN);

    if (n_cmp > 0 && memcmp(p, NGHTTP2_CLIENT_MAGIC, n_cmp) != 0)
        return 0;
    return n >= NGHTTP2_CLIENT_MAGIC_LEN ? 1 : -1;
}
