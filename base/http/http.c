#include "base/http/http.h"

#include "base/core/mem.h"

void http_headers_init(struct http_headers *h, size_t max_bytes)
{
    *h = (struct http_headers){ .text = BUF(max_bytes) };
}

void http_headers_deinit(struct http_headers *h)
{
    free(h->v);
    h->v = NULL;
    h->n = h->cap = 0;
    buf_deinit(&h->text);
}

static bool has_bad_byte(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return true;
    return false;
}

/* The text moved: the views must follow. They lie in it one behind the other. */
static void rebase(struct http_headers *h)
{
    const char *p = h->text.p;

    for (size_t i = 0; i < h->n; i++) {
        h->v[i].name.p = p;
        p += h->v[i].name.n;
        h->v[i].value.p = p;
        p += h->v[i].value.n;
    }
}

int http_headers_add(struct http_headers *h, struct str name, struct str value)
{
    const char *before = h->text.p;

    if (name.n == 0 || has_bad_byte(name) || has_bad_byte(value))
        return ERR_INVALID;
    if (h->n == HTTP_HEADERS_MAX || name.n > h->text.max || value.n > h->text.max - name.n ||
        h->text.n > h->text.max - name.n - value.n)
        return ERR_LIMIT;
    if (buf_reserve(&h->text, name.n + value.n))
        return ERR_LIMIT;
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 16;
        h->v = mem_realloc(h->v, h->cap * sizeof *h->v);
    }
    if (h->text.p != before)
        rebase(h);
    h->v[h->n].name = str_n(h->text.p + h->text.n, name.n);
    err_ignore(buf_add_str(&h->text, name)); /* reserved above */
    h->v[h->n].value = str_n(h->text.p + h->text.n, value.n);
    err_ignore(buf_add_str(&h->text, value)); /* reserved above */
    h->n++;
    return 0;
}

struct str http_headers_get(const struct http_headers *h, const char *name)
{
    struct str want = str_of(name);

    for (size_t i = 0; i < h->n; i++)
        if (str_eq_nocase(h->v[i].name, want))
            return h->v[i].value;
    return (struct str){ NULL, 0 };
}

bool http_headers_has_token(const struct http_headers *h, const char *name, const char *token)
{
    struct str want_name = str_of(name), want = str_of(token), head, rest;

    for (size_t i = 0; i < h->n; i++) {
        if (!str_eq_nocase(h->v[i].name, want_name))
            continue;
        rest = h->v[i].value;
        while (rest.n > 0) {
            str_cut(rest, ',', &head, &rest);
            if (str_eq_nocase(str_trim(head), want))
                return true;
        }
    }
    return false;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        /* RFC 9110 15, RFC 6585 */
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 203, "Non-Authoritative Information" },
        { 204, "No Content" },
        { 205, "Reset Content" },
        { 206, "Partial Content" },
        { 300, "Multiple Choices" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 407, "Proxy Authentication Required" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 426, "Upgrade Required" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 511, "Network Authentication Required" },
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "";
}
