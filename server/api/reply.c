/*
 * Answers: a document in the encoding that the client wants, packed where it accepts that, counted,
 * and handed to the sink (apiserver/pkg/endpoints/handlers/responsewriters/writers.go).
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/gzip.h"
#include "base/data/json.h"
#include "base/data/yaml.h"
#include "base/kube/status.h"
#include "server/api/charge.h"
#include "server/api/request.h"
#include "server/schema/crd.h"

#define GZIP_FROM_BYTES (128 * 1024)       /* defaultGzipThresholdBytes */
#define GZIP_AT_ONCE    16                 /* encoders of 270 kB; who comes then gets plain bytes */
#define DRESS_MAX_BYTES (32 * 1024 * 1024) /* indented or YAML: parsed, so many times as large */

/* ---- packing ---- */

/* Begins to pack if the client and we can. True: r->gzip is there. */
static bool pack_start(struct api_req *r)
{
    if (!r->takes_gzip || r->gzip || r->api->n_packing >= GZIP_AT_ONCE)
        return r->gzip != NULL;
    r->gzip = gzip_new();
    r->api->n_packing++;
    return true;
}

static void pack_end(struct api_req *r)
{
    if (!r->gzip)
        return;
    gzip_free(r->gzip);
    r->gzip = NULL;
    r->api->n_packing--;
}

void reply_deinit(struct api_req *r)
{
    pack_end(r);
}

/* ---- warnings ---- */

#define WARNINGS_MAX       32
#define WARNINGS_MAX_BYTES (64 * 1024)

/* RFC 7234 5.5, code 299. 1 when it was added. JSON's quotes are HTTP's too, but it lets one byte
 * through that no header may have. */
static size_t add_warning(struct buf *b, const char *note, size_t *end)
{
    json_auto_t *text = json_str_of(str_of(note));
    size_t was = b->n;

    if (buf_adds(b, "299 - ") || json_write(b, text)) {
        b->n = was;
        return 0;
    }
    for (char *p = b->p + was; (p = memchr(p, 0x7f, (size_t)(b->p + b->n - p)));)
        *p = '?';
    *end = b->n;
    return 1;
}

/* A client that asks for something that nothing will do is told so. */
static bool warns_inert(const struct api_req *r, int code)
{
    return r->kind->inert && !r->sub && code < 300 &&
           (r->verb == VERB_CREATE || r->verb == VERB_UPDATE || r->verb == VERB_PATCH);
}

/* What a client is warned of is in the head of whatever it is answered: an object, a list, a watch
 * or an error (apiserver/pkg/warning). Borrows from b. */
static size_t warnings_of(const struct api_req *r, int code, struct buf *b,
                          struct http_header out[WARNINGS_MAX])
{
    size_t n = 0, ends[WARNINGS_MAX];

    if (!r->kind)
        return 0;
    for (size_t i = 0; i < r->notes.n && n < WARNINGS_MAX; i++)
        n += add_warning(b, r->notes.v[i], &ends[n]);
    if (r->kind->deprecated && n < WARNINGS_MAX)
        n += add_warning(b, r->kind->deprecated, &ends[n]);
    if (warns_inert(r, code) && n < WARNINGS_MAX)
        n += add_warning(b, r->kind->inert, &ends[n]);
    for (size_t i = 0, at = 0; i < n; at = ends[i++])
        out[i] = (struct http_header){ STR("Warning"), str_n(b->p + at, ends[i] - at) };
    return n;
}

/* ---- one piece ---- */

static void hand_over(struct api_req *r, int code, const char *content_type, struct str body,
                      const struct http_header *extra, size_t n_extra)
{
    auto_buf packed = BUF(API_ANSWER_MAX_BYTES), warnings = BUF(WARNINGS_MAX_BYTES);
    struct http_header all[WARNINGS_MAX + REPLY_HEADERS_MAX + 2];
    size_t n;

    charge_leave(r);
    r->state = REQ_DONE; /* from any state: an answer ends them all */
    if (r->answered)     /* the deadline was quicker */
        return;
    r->answered = true;
    r->sent_bytes = body.n;
    n = warnings_of(r, code, &warnings, all);
    for (size_t i = 0; i < MIN(n_extra, (size_t)REPLY_HEADERS_MAX); i++)
        all[n++] = extra[i];
    if (body.n > GZIP_FROM_BYTES && pack_start(r)) {
        if (!gzip_add(r->gzip, body, true, &packed)) {
            body = buf_str(&packed);
            all[n++] = (struct http_header){ STR("Content-Encoding"), STR("gzip") };
            all[n++] = (struct http_header){ STR("Vary"), STR("Accept-Encoding") };
        }
        pack_end(r);
    }
    api_count(r, code);
    r->sink->reply(r, code, content_type, body, all, n);
}

void reply_text(struct api_req *r, int code, const char *content_type, struct str body,
                const struct http_header *extra, size_t n_extra)
{
    hand_over(r, code, content_type, body, extra, n_extra);
}

void req_text(struct api_req *r, int code, const char *content_type, struct str body)
{
    hand_over(r, code, content_type, body, NULL, 0);
}

bool reply_is_dressed(const struct api_req *r)
{
    return !r->accept.proto && (r->accept.yaml || r->pretty);
}

/* JSON as the client wants to see it, with the type it then has. */
void reply_json(struct api_req *r, int code, struct str json, const struct http_header *extra,
                size_t n_extra)
{
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);
    json_auto_t *doc = NULL;
    struct err e;
    int rc;

    if (!reply_is_dressed(r) || json.n > DRESS_MAX_BYTES) { /* JSON is YAML too */
        hand_over(r, code, req_media_type(r), json, extra, n_extra);
        return;
    }
    rc = json_parse(&doc, json, &e); /* ours, so only its size can be wrong */
    if (!rc)
        rc = r->accept.yaml ? yaml_write(&b, doc) : json_write_indented(&b, doc, 2);
    hand_over(r, code, req_media_type(r), rc ? json : buf_str(&b), extra, n_extra);
}

/* ---- in pieces ---- */

static void send_piece(struct api_req *r, struct str piece, bool last)
{
    auto_buf packed = BUF(API_ANSWER_MAX_BYTES);

    r->sent_bytes += piece.n;
    if (!r->gzip) {
        r->sink->write(r, piece);
    } else if (gzip_add(r->gzip, piece, last, &packed) == 0) {
        r->sink->write(r, buf_str(&packed));
    } else {
        r->state = REQ_DONE;
        r->sink->abort(r);
    }
}

void reply_start(struct api_req *r)
{
    auto_buf warnings = BUF(WARNINGS_MAX_BYTES);
    struct http_header head[WARNINGS_MAX];
    size_t n = warnings_of(r, 200, &warnings, head);

    r->answered = true;
    r->sink->start(r, 200, req_media_type(r), head, n);
}

void reply_piece(struct api_req *r, struct str piece)
{
    if (!r->answered) {
        if (piece.n > GZIP_FROM_BYTES)
            pack_start(r);
        reply_start(r);
    }
    send_piece(r, piece, false);
}

void reply_last(struct api_req *r, struct str piece)
{
    if (!r->answered) {
        if (r->accept.proto)
            hand_over(r, 200, req_media_type(r), piece, NULL, 0);
        else
            reply_json(r, 200, piece, NULL, 0);
        return;
    }
    send_piece(r, piece, true);
    if (r->state == REQ_DONE)
        return;
    api_count(r, 200);
    req_move(r, REQ_DONE);
    r->sink->end(r);
}

/* ---- documents ---- */

/* What an answer to r is, in protobuf or JSON. False: it does not fit. */
static bool encode_answer(struct buf *b, const struct api_req *r, const json_t *doc)
{
    struct encode_form f = req_form(r);
    struct err e;

    return encode_doc(b, &f, doc, &e) == 0;
}

/* b: as encode_answer made it. */
static void reply_doc(struct api_req *r, int code, struct buf *b, const struct http_header *extra,
                      size_t n_extra)
{
    if (r->accept.proto)
        hand_over(r, code, req_media_type(r), buf_str(b), extra, n_extra);
    else
        reply_json(r, code, buf_str(b), extra, n_extra);
}

void req_doc(struct api_req *r, int code, json_t *doc_take)
{
    json_auto_t *doc = doc_take;
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);

    if (!encode_answer(&b, r, doc)) {
        req_status(r, status_new(STATUS_INTERNAL_ERROR, "the answer cannot be encoded"));
        return;
    }
    reply_doc(r, code, &b, NULL, 0);
}

void req_status(struct api_req *r, json_t *status_take)
{
    json_auto_t *status = status_take;
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);
    int code = status_code(status);
    int64_t retry = json_i64_at(status, "details.retryAfterSeconds", 0);
    auto_free char *seconds = mem_printf("%lld", (long long)retry);
    struct http_header extra[2];
    size_t n = 0;

    if (retry > 0)
        extra[n++] = (struct http_header){ STR("Retry-After"), str_of(seconds) };
    if (code == 405 && r->allow)
        extra[n++] = (struct http_header){ STR("Allow"), str_of(r->allow) };
    if (!encode_answer(&b, r, status)) { /* texts of ours that some type does not hold */
        r->accept.proto = false;
        err_ignore(!encode_answer(&b, r, status));
    }
    reply_doc(r, code, &b, extra, n);
}

void req_page_not_found(struct api_req *r)
{
    static const struct http_header plain = { STR("X-Content-Type-Options"), STR("nosniff") };

    hand_over(r, 404, "text/plain; charset=utf-8", STR("404 page not found\n"), &plain, 1);
}

void req_err(struct api_req *r, const struct err *e)
{
    if (status_reason_of_err(e->code) == STATUS_INTERNAL_ERROR)
        log_warn("request failed", kv("target", r->target), kv("err", e->text));
    req_status(r, status_of_err(e));
}

void req_commit_err(struct api_req *r, const struct err *e)
{
    if (e->code == ERR_LIMIT ||
        e->code == ERR_DENIED) /* full, read-only: the store has logged it */
        req_status(r, status_new(STATUS_SERVICE_UNAVAILABLE, "%s", e->text));
    else if (e->code == ERR_AGAIN)
        req_status(r, status_too_many_requests(e->text, 1));
    else
        req_err(r, e);
}

void req_not_found(struct api_req *r, const char *name)
{
    req_status(r, status_not_found(req_group(r), r->kind->plural, name));
}

void req_invalid(struct api_req *r, const char *name, const struct field_errors *fe)
{
    req_invalid_as(r, r->kind->group, r->kind->kind, name, fe);
}

void req_invalid_as(struct api_req *r, const char *group, const char *kind, const char *name,
                    const struct field_errors *fe)
{
    json_auto_t *causes = json_array();

    for (size_t i = 0; i < fe->n; i++)
        status_cause_add(causes, field_reason_name(fe->v[i].reason), fe->v[i].field, "%s",
                         fe->v[i].detail);
    req_status(r, status_invalid(group, kind, name, causes));
}

struct encode_form req_form(const struct api_req *r)
{
    struct encode_form f = {
        .kind = r->kind, .as = r->accept.as, .beta = r->accept.beta, .proto = r->accept.proto
    };

    err_ignore(
        !table_include_of(&f.include, str_of(r->params.include_object))); /* checked before */
    return f;
}

const char *req_media_type(const struct api_req *r)
{
    return r->accept.yaml     ? "application/yaml"
           : !r->accept.proto ? "application/json"
           : r->watch         ? "application/vnd.kubernetes.protobuf;stream=watch"
                              : "application/vnd.kubernetes.protobuf";
}

void req_object(struct api_req *r, int code, struct str value, int64_t rev)
{
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);
    struct encode_form f = req_form(r);
    struct err e;

    if (encode_object(&b, &f, value, rev, &e)) {
        if (r->key)
            err_wrap(&e, "%s", r->key);
        req_err(r, &e);
        return;
    }
    reply_doc(r, code, &b, NULL, 0);
}
