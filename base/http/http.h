#pragma once
/*
 * HTTP: what server and client share: methods, header lists, limits, status texts (RFC 9110).
 * Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/str.h"

/* Limits on what a peer may send; each has its 4xx answer. */
#define HTTP_TARGET_MAX_BYTES (8 * 1024) /* 414 */
#define HTTP_HEADERS_MAX_BYTES                                                                     \
    (64 * 1024)              /* 431, names and values together; SPDY exec URLs are long */
#define HTTP_HEADERS_MAX 128 /* 431 */

struct http_header {
    struct str name; /* as sent; compared without case */
    struct str value;
};

/* A list of headers in one block of memory; names are lower-case when they came over h2. */
struct http_headers {
    struct http_header *v;
    size_t n, cap;
    struct buf text; /* owns the bytes */
};

void http_headers_init(struct http_headers *h, size_t max_bytes);
void http_headers_deinit(struct http_headers *h);
/* Copies; ERR_LIMIT past the maximum, ERR_INVALID on bytes that no header may hold (CR, LF, NUL).
 */
MUST_USE int http_headers_add(struct http_headers *h, struct str name, struct str value);
/* The first of that name; an empty str with p NULL when there is none. */
struct str http_headers_get(const struct http_headers *h, const char *name);
/* Is token one of the comma-separated values of that header (no case)? All lines count. */
bool http_headers_has_token(const struct http_headers *h, const char *name, const char *token);

const char *http_status_text(int status); /* "Not Found"; "" when unknown */
