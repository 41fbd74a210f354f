/*
 * Deletes bootstrap tokens that have expired (pkg/controller/bootstrap/tokencleaner of kubernetes):
 * Secrets kube-system/bootstrap-token-<id>. The wall clock decides, and it may jump: sleeping keys
 * look again at least every hour.
 */
#include "server/controller/token_cleaner.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

#include <stdio.h>

#define LOOK_AGAIN_S 3600

bool token_cleaner_expiry(const json_t *secret, int64_t *expires_unix_s)
{
    const json_t *text = json_object_get(json_object_get(secret, "data"), "expiration");
    auto_buf plain = BUF(64);
    int64_t us = 0;

    if (strcmp(json_str_at(secret, "type", ""), "bootstrap.kubernetes.io/token") != 0 ||
        strncmp(meta_name(secret), "bootstrap-token-", strlen("bootstrap-token-")) != 0 ||
        !json_string_length(text))
        return false;
    if (base64_decode(&plain, str_of(json_string_value(text)), false) ||
        !time_parse(&us, buf_str(&plain)))
        us = 0;
    *expires_unix_s = us / 1000000;
    return true;
}

struct token {
    char uid[40];
    int64_t expires_unix_s;
};

struct token_cleaner {
    struct controller c;
    struct map *tokens; /* Secret name -> struct token * */
};

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    struct token_cleaner *tc = (struct token_cleaner *)c;
    struct token t = { .uid = "" }, *kept;

    (void)w;
    if (ev == LOCAL_DELETED || !token_cleaner_expiry(obj, &t.expires_unix_s)) {
        free(map_remove(tc->tokens, str_of(meta_name(obj))));
        return;
    }
    snprintf(t.uid, sizeof t.uid, "%s", meta_uid(obj));
    kept = mem_dup(&t, sizeof t);
    free(map_set(tc->tokens, str_of(meta_name(obj)), kept));
    queue_add(c->queue, meta_name(obj));
}

static void work(struct controller *c, struct queue_item *it)
{
    struct token_cleaner *tc = (struct token_cleaner *)c;
    const struct token *t = map_get(tc->tokens, str_of(queue_key(it)));
    struct local_ref ref = { .resource = "secrets", .ns = "kube-system", .name = queue_key(it) };
    int64_t left_s = t ? t->expires_unix_s - clock_wall_s() : 0;

    if (!t) {
        queue_done(it, NULL);
        return;
    }
    if (left_s > 0) {
        queue_done_again(it, (uint64_t)MIN(left_s, (int64_t)LOOK_AGAIN_S) * 1000);
        return;
    }
    struct local_delete_opts o = { .grace_period_s = -1, .uid = t->uid };
    log_info("deleting an expired bootstrap token", kv("secret", queue_key(it)));
    local_delete(c->env->config.api, &ref, &o, queue_done_local, it);
}

static struct controller *make(const struct controllers_config *config)
{
    struct token_cleaner *tc = mem_alloc(sizeof *tc);

    (void)config;
    tc->tokens = map_new();
    return &tc->c;
}

static void cleaner_free(struct controller *c)
{
    struct token_cleaner *tc = (struct token_cleaner *)c;
    struct str key;
    void *v;

    for (size_t i = 0; map_next(tc->tokens, &i, &key, &v);)
        free(v);
    map_free(tc->tokens);
    free(tc);
}

const struct controller_ops token_cleaner_controller = {
    .name = "token_cleaner",
    .watches = WATCH_BIT(WATCH_SECRETS),
    .make = make,
    .on_event = on_event,
    .work = work,
    .free = cleaner_free,
};
