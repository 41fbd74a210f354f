#pragma once
/*
 * Harness: a whole API server on loopback HTTP, with a SQLite store in a fresh folder, and a
 * client that waits for each answer. "Authorization: Bearer <user>[:<group>...]" is who one is.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/buf.h"
#include "base/data/json.h"
#include "base/http/client.h"
#include "base/http/server.h"
#include "base/io/listener.h"
#include "server/api/api.h"
#include "server/api/local.h"
#include "server/auth/authenticate.h"
#include "server/store/store.h"

struct harness {
    uv_loop_t loop;
    char dir[64];
    struct store *store;
    struct authn *authn;
    struct api *api;
    struct http_server *http;
    struct listener *listener;
    struct http_endpoint *client;
    char *authority;
    bool flag; /* what harness_wait waits for */
};

/* Before harness_open: what the API gets besides the store. */
void harness_open(struct harness *h, const struct api_egress *egress);
void harness_stop_api(struct harness *h); /* harness_close does, where a test has not */
void harness_close(struct harness *h);
/* Runs the loop until *flag, at most 30 s. */
void harness_wait(struct harness *h, const bool *flag);

/* n ConfigMaps c0000, c0001, ... in a namespace that need not exist, past the API. */
void harness_fill(struct harness *h, const char *ns, size_t n);

struct answer {
    int code;
    json_t *doc;     /* NULL: no JSON */
    struct buf body; /* all of it */
    char warning[256];
    char type[128], encoding[32], vary[64], allow[64], retry_after[16];
    char etag[64], location[256], cache_control[64];
};
void answer_deinit(struct answer *a);
#define auto_answer __attribute__((cleanup(answer_deinit))) struct answer

/* who NULL: no credentials. body and content_type may be NULL. */
struct answer ask_as(struct harness *h, const char *who, const char *method, const char *target,
                     const char *content_type, const char *accept, const char *body);
/* The same with any headers; Authorization is added. body may hold zeros. */
struct answer ask_with(struct harness *h, const char *who, const char *method, const char *target,
                       const struct http_header *headers, size_t n, struct str body);
/* As the administrator, JSON. */
struct answer ask(struct harness *h, const char *method, const char *target, const char *body);

/* A watch whose lines are collected. */
struct lines {
    struct harness *h;
    struct http_call *call;
    struct buf text;
    int code;
    size_t want;
    bool done, enough;
    enum err_code ended; /* done: 0, the answer was whole */
};
void lines_start(struct lines *l, struct harness *h, const char *who, const char *target,
                 const char *accept);
/* Waits until n lines are there (or the watch ended). */
void lines_wait(struct lines *l, size_t n);
json_t *lines_at(struct lines *l, size_t i); /* new reference */
void lines_stop(struct lines *l);
