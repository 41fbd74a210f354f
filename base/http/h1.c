/*
 * H1 on llhttp. A head is first checked line by line here, because llhttp 8 is laxer than a server
 * should be (space before the colon, folded lines, bare CR or LF), and only then parsed, in one
 * piece. Bodies go through llhttp as they come.
 *
 *     HEAD --whole--> BODY --llhttp says complete--> ENDED --h1_next--> HEAD
 *       +-------------+--> BROKEN
 */
#include "base/http/h1.h"

#include <llhttp.h>
#include <stdio.h>

#include "base/core/mem.h"

/* The longest method and version around the target, generously. */
#define LINE_EXTRA_BYTES 64
#define LINE_MAX_BYTES   (HTTP_TARGET_MAX_BYTES + LINE_EXTRA_BYTES)
#define HEAD_MAX_BYTES   (LINE_MAX_BYTES + HTTP_HEADERS_MAX_BYTES)
/* Chunk heads, extensions and trailers beyond what a sender of 1-byte chunks needs: a peer must not
 * keep us busy with bytes that carry nothing. */
#define CHUNK_FREE_BYTES   24
#define OVERHEAD_MAX_BYTES (16 * 1024)
#define INTERIM_MAX        16 /* 1xx answers before the real one */

enum state { HEAD, BODY, ENDED, BROKEN };

struct h1 {
    enum h1_kind kind;
    const struct h1_events *events;
    void *arg;

    enum state state;
    bool stopped;
    bool to_head, to_connect;
    unsigned n_interim;
    int status; /* how to answer what is bad */

    struct buf partial; /* a head that is not whole yet */
    size_t line_at;     /* where the line begins that is not whole yet */
    size_t seen;        /* of it, what has no line end: not looked at again */
    size_t n_lines;
    size_t headers_at; /* behind the first line */

    llhttp_t ll;
    struct buf line; /* method and target */
    struct h1_head head;
    struct str name, value; /* of the header line llhttp is in */
    bool skip;              /* an interim answer: no events */
    size_t overhead_bytes;  /* of this body */
    struct err *e;          /* during h1_feed */
};

static int fail(struct h1 *p, struct err *e, int status, const char *why)
{
    p->state = BROKEN;
    p->status = status;
    return err_set(e, status == 414 || status == 431 ? ERR_LIMIT : ERR_PROTOCOL,
                   "bad HTTP/1.1 %s: %s", p->kind == H1_REQUEST ? "request" : "response", why);
}

/* ---- llhttp's callbacks ---- */

static int cb_fail(struct h1 *p, int status, const char *why)
{
    fail(p, p->e, status, why);
    return HPE_USER;
}

static int add_overhead(struct h1 *p, size_t n)
{
    p->overhead_bytes += n;
    if (p->overhead_bytes > OVERHEAD_MAX_BYTES)
        return cb_fail(p, 431, "too long chunk extensions or trailers");
    return 0;
}

static int on_field(llhttp_t *ll, const char *at, size_t n)
{
    struct h1 *p = ll->data;

    if (p->state != HEAD)
        return add_overhead(p, n); /* a trailer */
    p->name = str_n(at, n);
    return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
    struct h1 *p = ll->data;

    if (p->state != HEAD)
        return add_overhead(p, n);
    p->value = str_n(at, n);
    return 0;
}

static int on_value_complete(llhttp_t *ll)
{
    struct h1 *p = ll->data;

    if (p->state != HEAD)
        return 0;
    switch (http_headers_add(&p->head.headers, p->name, str_trim(p->value))) {
    case 0:
        break;
    case ERR_LIMIT:
        return cb_fail(p, 431, "too many or too long headers");
    default:
        return cb_fail(p, 400, "a header with forbidden bytes");
    }
    p->name = p->value = (struct str){ NULL, 0 };
    return 0;
}

static size_t count_header(const struct http_headers *h, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++)
        n += str_eq_nocase(h->v[i].name, str_of(name));
    return n;
}

static int check_request(struct h1 *p)
{
    const struct http_headers *h = &p->head.headers;
    size_t n_host = count_header(h, "Host"), n_te = count_header(h, "Transfer-Encoding");

    if (n_host > 1)
        return cb_fail(p, 400, "more than one Host");
    if (n_host == 0 && p->head.minor > 0)
        return cb_fail(p, 400, "no Host");
    if (n_te > 0) {
        if (count_header(h, "Content-Length"))
            return cb_fail(p, 400, "both Content-Length and Transfer-Encoding");
        if (p->head.minor == 0)
            return cb_fail(p, 400, "Transfer-Encoding in HTTP/1.0");
        if (n_te > 1 || !str_eq_nocase(http_headers_get(h, "Transfer-Encoding"), STR("chunked")))
            return cb_fail(p, 501, "a transfer coding other than chunked");
    }
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    struct h1 *p = ll->data;
    struct h1_head *h = &p->head;
    int skip_body = 0;

    h->minor = ll->http_minor;
    if (p->kind == H1_REQUEST && check_request(p))
        return -1;
    h->chunked = (ll->flags & F_CHUNKED) != 0;
    h->content_length = -1;
    if (ll->flags & F_CONTENT_LENGTH) {
        if (ll->content_length > INT64_MAX)
            return cb_fail(p, 400, "Content-Length is out of range") ? -1 : 0;
        h->content_length = (int64_t)ll->content_length;
    }
    if (p->kind == H1_REQUEST) {
        h->upgrade = ll->upgrade != 0;
        h->has_body = ll->method != HTTP_CONNECT && (h->chunked || h->content_length > 0);
        h->expect_continue = http_headers_has_token(&h->headers, "Expect", "100-continue") &&
                             h->minor > 0 && h->has_body;
    } else {
        h->status = ll->status_code;
        h->upgrade = h->status == 101 || (p->to_connect && h->status / 100 == 2);
        if (h->upgrade)
            skip_body = 2;
        else if (p->to_head || h->status / 100 == 1 || h->status == 204 || h->status == 304)
            skip_body = 1;
        h->has_body = !skip_body && (h->chunked || h->content_length != 0);
        p->skip = h->status / 100 == 1 && h->status != 101;
        if (p->skip && ++p->n_interim > INTERIM_MAX)
            return cb_fail(p, 400, "too many interim answers") ? -1 : 0;
    }
    if (skip_body)
        ll->flags |= F_SKIPBODY; /* llhttp_should_keep_alive looks at it */
    h->keep_alive = llhttp_should_keep_alive(ll) != 0;
    p->state = BODY;
    if (!p->skip)
        p->events->on_head(p->arg, h);
    return skip_body;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    struct h1 *p = ll->data;

    if (!p->stopped && n > 0)
        p->events->on_body(p->arg, at, n);
    return p->stopped ? HPE_USER : 0;
}

static int on_chunk_header(llhttp_t *ll)
{
    struct h1 *p = ll->data;

    p->overhead_bytes -= MIN(p->overhead_bytes, (size_t)CHUNK_FREE_BYTES);
    return 0;
}

static int on_chunk_extension(llhttp_t *ll, const char *at, size_t n)
{
    struct h1 *p = ll->data;

    (void)at;
    return add_overhead(p, n);
}

static int on_message_complete(llhttp_t *ll)
{
    struct h1 *p = ll->data;

    p->state = ENDED;
    return HPE_PAUSED; /* what follows is not ours */
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_message_complete = on_message_complete,
};

/* ---- the head, before llhttp sees it ---- */

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return s.n > 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* HTTP-version = "HTTP/" DIGIT "." DIGIT (RFC 9112 2.3). */
static int check_version(struct h1 *p, struct str v, struct err *e)
{
    if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !is_digit(v.p[5]) || v.p[6] != '.' ||
        !is_digit(v.p[7]))
        return fail(p, e, 400, "the first line does not name an HTTP version");
    if (v.p[5] != '1' || v.p[7] > '1')
        return fail(p, e, 505, "a version other than 1.0 and 1.1");
    return 0;
}

static int check_first_line(struct h1 *p, struct str line, struct err *e)
{
    struct str method, target, version, rest;

    if (p->kind == H1_RESPONSE) {
        str_cut(line, ' ', &version, &rest);
        return check_version(p, version, e);
    }
    if (!str_cut(line, ' ', &method, &rest) || !str_cut(rest, ' ', &target, &version) ||
        target.n == 0 || !is_token(method))
        return fail(p, e, 400, "the request line is not method, target, version");
    if (target.n > HTTP_TARGET_MAX_BYTES)
        return fail(p, e, 414, "the target is too long");
    if (check_version(p, version, e))
        return e->code;
    buf_clear(&p->line);
    if (buf_add_str(&p->line, method) || buf_add_str(&p->line, target))
        return fail(p, e, 414, "the request line is too long");
    p->head.method = str_n(p->line.p, method.n);
    p->head.target = str_n(p->line.p + method.n, target.n);
    return 0;
}

static int check_header_line(struct h1 *p, struct str line, struct err *e)
{
    struct str name, value;

    if (line.p[0] == ' ' || line.p[0] == '\t')
        return fail(p, e, 400, "a folded header line"); /* RFC 9112 5.2 */
    if (!str_cut(line, ':', &name, &value) || !is_token(name))
        return fail(p, e, 400, "a header line without a proper name"); /* "Host : x" too, 5.1 */
    return 0;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 127)
            return true;
    }
    return false;
}

/* Looks at the whole lines of d from line_at on. *end is behind the empty line that ends the head,
 * 0 when it has not come yet. */
static int scan_head(struct h1 *p, struct str d, size_t *end, struct err *e)
{
    *end = 0;
    for (;;) {
        size_t from = MAX(p->line_at, p->seen);
        const char *at = d.p + p->line_at, *lf = memchr(d.p + from, '\n', d.n - from);
        struct str line;

        if (!lf) {
            /* now, not at the deadline; a CR may still get its LF */
            size_t n = d.n > from && d.p[d.n - 1] == '\r' ? d.n - 1 : d.n;
            p->seen = n;
            if (has_control(str_n(d.p + from, n - from)))
                return fail(p, e, 400, "control bytes in the head");
            if (p->n_lines == 0 && d.n > LINE_MAX_BYTES)
                return fail(p, e, 414, "the first line is too long");
            if (p->n_lines > 0 && d.n - p->headers_at > HTTP_HEADERS_MAX_BYTES)
                return fail(p, e, 431, "too long headers");
            return 0;
        }
        if (lf == at || lf[-1] != '\r')
            return fail(p, e, 400, "a line that does not end with CR LF");
        line = str_n(at, (size_t)(lf - at) - 1);
        p->line_at = (size_t)(lf - d.p) + 1;
        if (has_control(line))
            return fail(p, e, 400, "control bytes in the head");
        if (p->n_lines == 0) {
            if (line.n > LINE_MAX_BYTES)
                return fail(p, e, 414, "the first line is too long");
            if (check_first_line(p, line, e))
                return e->code;
            p->headers_at = p->line_at;
        } else if (line.n == 0) {
            *end = p->line_at;
            return 0;
        } else if (p->line_at - p->headers_at > HTTP_HEADERS_MAX_BYTES) {
            return fail(p, e, 431, "too long headers");
        } else if (check_header_line(p, line, e)) {
            return e->code;
        }
        p->n_lines++;
    }
}

/* What llhttp did with n bytes; *used of them are consumed. */
static int execute(struct h1 *p, const char *bytes, size_t n, size_t *used, struct err *e)
{
    llhttp_errno_t r;

    *used = n;
    p->e = e;
    r = llhttp_execute(&p->ll, bytes, n);
    p->e = NULL;
    if (p->stopped)
        return 0;
    if (p->state == BROKEN)
        return e->code;
    if (p->state == ENDED) {
        const char *at = llhttp_get_error_pos(&p->ll);
        if (r != HPE_OK && at >= bytes && at <= bytes + n)
            *used = (size_t)(at - bytes);
        return 0;
    }
    switch (r) {
    case HPE_OK:
        return 0;
    case HPE_INVALID_METHOD:
        return fail(p, e, 501, "an unknown method");
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return fail(p, e, 505, "a version other than 1.0 and 1.1");
    default:
        return fail(p, e, 400, llhttp_get_error_reason(&p->ll));
    }
}

static int end_of_message(struct h1 *p)
{
    if (p->skip) {
        unsigned n = p->n_interim;
        bool to_head = p->to_head, to_connect = p->to_connect;
        h1_next(p);
        p->n_interim = n;
        h1_expect(p, to_head, to_connect);
        return 0;
    }
    p->events->on_end(p->arg);
    return 0;
}

/* The head is whole: d. */
static int parse_head(struct h1 *p, struct str d, struct err *e)
{
    size_t used;

    llhttp_init(&p->ll, p->kind == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    p->ll.data = p;
    if (buf_reserve(&p->head.headers.text, MIN(d.n, (size_t)HTTP_HEADERS_MAX_BYTES)))
        return fail(p, e, 431, "too long headers");
    if (execute(p, d.p, d.n, &used, e))
        return e->code;
    if (p->stopped)
        return 0;
    if (used != d.n || p->state == HEAD) /* llhttp sees the end elsewhere: never guess */
        return fail(p, e, 400, "the end of the head is unclear");
    return p->state == ENDED ? end_of_message(p) : 0;
}

static int feed_head(struct h1 *p, const char *bytes, size_t n, size_t *consumed, struct err *e)
{
    size_t end, before = p->partial.n, take;

    if (before == 0) {
        size_t skip = 0;
        while (p->n_lines == 0 && skip < n && (bytes[skip] == '\r' || bytes[skip] == '\n'))
            skip++; /* empty lines before a message, RFC 9112 2.2 */
        *consumed = skip;
        bytes += skip;
        n -= skip;
        if (n == 0)
            return 0;
        if (scan_head(p, str_n(bytes, n), &end, e))
            return e->code;
        if (end > 0) {
            *consumed += end;
            return parse_head(p, str_n(bytes, end), e);
        }
        *consumed += n;
        if (buf_add(&p->partial, bytes, n))
            return fail(p, e, 431, "too long a head");
        return 0;
    }
    take = MIN(n, p->partial.max - before);
    err_ignore(buf_add(&p->partial, bytes, take)); /* it fits */
    if (scan_head(p, buf_str(&p->partial), &end, e))
        return e->code;
    if (end == 0) {
        *consumed = take;
        return take < n ? fail(p, e, 431, "too long a head") : 0;
    }
    *consumed = end - before;
    return parse_head(p, str_n(p->partial.p, end), e);
}

/* ---- the public side ---- */

struct h1 *h1_new(enum h1_kind kind, const struct h1_events *events, void *arg)
{
    struct h1 *p = mem_alloc(sizeof *p);

    p->kind = kind;
    p->events = events;
    p->arg = arg;
    p->partial = BUF(2 * HEAD_MAX_BYTES); /* what came behind the head in one read is in it too */
    p->line = BUF(LINE_MAX_BYTES);
    http_headers_init(&p->head.headers, HTTP_HEADERS_MAX_BYTES);
    h1_next(p);
    return p;
}

void h1_free(struct h1 *p)
{
    if (!p)
        return;
    buf_deinit(&p->partial);
    buf_deinit(&p->line);
    http_headers_deinit(&p->head.headers);
    free(p);
}

int h1_feed(struct h1 *p, const char *bytes, size_t n, size_t *consumed, struct err *e)
{
    size_t at = 0, used;
    int r = 0;

    while (r == 0 && at < n && !p->stopped && (p->state == HEAD || p->state == BODY)) {
        used = 0;
        if (p->state == HEAD) {
            r = feed_head(p, bytes + at, n - at, &used, e);
        } else {
            r = execute(p, bytes + at, n - at, &used, e);
            if (r == 0 && !p->stopped && p->state == ENDED)
                r = end_of_message(p);
        }
        at += used;
    }
    *consumed = at;
    if (r == 0 && p->state == BROKEN)
        return err_set(e, ERR_PROTOCOL, "the message was bad");
    return r;
}

int h1_finish(struct h1 *p, struct err *e)
{
    switch (p->state) {
    case ENDED:
        return 0;
    case HEAD:
        if (p->partial.n == 0)
            return 0;
        return err_set(e, ERR_CLOSED, "the peer left in the middle of a head");
    case BODY:
        if (llhttp_finish(&p->ll) == HPE_PAUSED && p->state == ENDED)
            return end_of_message(p);
        if (p->state == ENDED)
            return end_of_message(p);
        return err_set(e, ERR_CLOSED, "the peer left in the middle of a body");
    case BROKEN:
        break;
    }
    return err_set(e, ERR_PROTOCOL, "the message was bad");
}

void h1_stop(struct h1 *p)
{
    p->stopped = true;
}

void h1_next(struct h1 *p)
{
    p->state = HEAD;
    p->status = 400;
    p->line_at = p->seen = p->n_lines = p->headers_at = 0;
    p->overhead_bytes = 0;
    p->n_interim = 0;
    p->skip = p->to_head = p->to_connect = false;
    p->name = p->value = (struct str){ NULL, 0 };
    if (p->partial.cap > 16 * 1024)
        buf_deinit(&p->partial); /* a rare big head must not stay in memory */
    buf_clear(&p->partial);
    buf_clear(&p->line);
    p->head.headers.n = 0;
    buf_clear(&p->head.headers.text);
    p->head = (struct h1_head){ .headers = p->head.headers, .content_length = -1 };
}

void h1_expect(struct h1 *p, bool to_head, bool to_connect)
{
    p->to_head = to_head;
    p->to_connect = to_connect;
}

bool h1_is_idle(const struct h1 *p)
{
    return p->state == HEAD && p->partial.n == 0;
}

bool h1_is_ended(const struct h1 *p)
{
    return p->state == ENDED;
}

int h1_error_status(const struct h1 *p)
{
    return p->status;
}

/* ---- writing ---- */

static int put_headers(struct buf *out, const struct http_header *headers, size_t n_headers,
                       int64_t body, struct err *e)
{
    for (size_t i = 0; i < n_headers; i++) {
        struct str name = headers[i].name, value = headers[i].value;

        if (!is_token(name) || has_control(value))
            return err_set(e, ERR_INVALID, "header \"" STR_FMT "\" has forbidden bytes",
                           STR_ARG(str_n(name.p, MIN(name.n, (size_t)64))));
        if (str_eq_nocase(name, STR("Host")) || str_eq_nocase(name, STR("Content-Length")) ||
            str_eq_nocase(name, STR("Transfer-Encoding")))
            continue;
        if (buf_add_str(out, name) || buf_add(out, ": ", 2) || buf_add_str(out, value) ||
            buf_add(out, "\r\n", 2))
            return err_set(e, ERR_LIMIT, "the head is too long");
    }
    if (body >= 0 && buf_addf(out, "Content-Length: %lld\r\n", (long long)body))
        return err_set(e, ERR_LIMIT, "the head is too long");
    if (body == H1_BODY_CHUNKED && buf_adds(out, "Transfer-Encoding: chunked\r\n"))
        return err_set(e, ERR_LIMIT, "the head is too long");
    if (buf_add(out, "\r\n", 2))
        return err_set(e, ERR_LIMIT, "the head is too long");
    return 0;
}

static bool has_space_or_control(struct str s)
{
    return has_control(s) || (s.n > 0 && (memchr(s.p, ' ', s.n) || memchr(s.p, '\t', s.n)));
}

int h1_put_request(struct buf *out, struct str method, struct str target, struct str host,
                   const struct http_header *headers, size_t n_headers, int64_t body, struct err *e)
{
    size_t before = out->n;

    if (!is_token(method) || target.n == 0 || has_space_or_control(target) ||
        has_space_or_control(host))
        return err_set(e, ERR_INVALID, "method, target or host has forbidden bytes");
    if (buf_add_str(out, method) || buf_add(out, " ", 1) || buf_add_str(out, target) ||
        buf_adds(out, " HTTP/1.1\r\nHost: ") || buf_add_str(out, host) || buf_adds(out, "\r\n"))
        err_set(e, ERR_LIMIT, "the head is too long");
    else if (!put_headers(out, headers, n_headers, body, e))
        return 0;
    out->n = before;
    return e->code;
}

int h1_put_response(struct buf *out, int status, const struct http_header *headers,
                    size_t n_headers, int64_t body, struct err *e)
{
    size_t before = out->n;

    if (status < 100 || status > 999)
        return err_set(e, ERR_INVALID, "%d is not a status", status);
    if (buf_addf(out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status)))
        err_set(e, ERR_LIMIT, "the head is too long");
    else if (!put_headers(out, headers, n_headers, body, e))
        return 0;
    out->n = before;
    return e->code;
}

size_t h1_chunk_head(char out[20], size_t n)
{
    return (size_t)snprintf(out, 20, "%zx\r\n", n);
}
