#include "base/core/log.h"

#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/err.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096 /* a longer line is cut: one write must stay one line */

enum log_level log_level_min = LOG_LVL_INFO;

static bool plain(struct str s)
{
    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f)
            return false;
    }
    return true;
}

static int add_quoted(struct buf *b, struct str s)
{
    int r = buf_addc(b, '"');

    for (size_t i = 0; i < s.n && !r; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            r = buf_addf(b, "\\%c", c);
        else if (c == '\n')
            r = buf_adds(b, "\\n");
        else if (c < ' ' || c == 0x7f)
            r = buf_addf(b, "\\x%02x", c);
        else
            r = buf_addc(b, (char)c);
    }
    return r ? r : buf_addc(b, '"');
}

static int add_kv(struct buf *b, const struct log_kv *kv)
{
    if (buf_addf(b, " %s=", kv->key))
        return ERR_LIMIT;
    switch (kv->type) {
    case LOG_KV_STR:
        return plain(kv->s) ? buf_add_str(b, kv->s) : add_quoted(b, kv->s);
    case LOG_KV_I64:
        return buf_addf(b, "%lld", (long long)kv->i);
    case LOG_KV_U64:
        return buf_addf(b, "%llu", (unsigned long long)kv->u);
    case LOG_KV_BOOL:
        return buf_adds(b, kv->u ? "true" : "false");
    }
    return 0;
}

void log_write(enum log_level level, const char *event, const struct log_kv *kvs, size_t n)
{
    static const char *const names[] = { "debug", "info ", "warn ", "error" };
    auto_buf b = BUF(LINE_MAX_BYTES);
    int64_t now_us = clock_wall_us();
    time_t now_s = (time_t)(now_us / 1000000);
    struct tm tm;
    char when[32];
    int r;

    gmtime_r(&now_s, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    r = buf_addf(&b, "%s.%03dZ %s %s", when, (int)(now_us / 1000 % 1000), names[level], event);
    for (size_t i = 0; i < n && !r; i++)
        r = add_kv(&b, &kvs[i]);
    if (r) /* the cut line still ends as a line */
        err_ignore(buf_adds(&b, "..."));
    b.max++;
    err_ignore(buf_addc(&b, '\n'));
    err_ignore(write(STDERR_FILENO, b.p, b.n) < 0); /* nowhere to report it */
}

bool log_allowed(struct log_limit *l)
{
    uint64_t now_ms = clock_mono_ms();
    uint64_t earned;

    if (!l->last_ms) {
        l->last_ms = now_ms;
        l->tokens = l->burst;
    }
    earned = (now_ms - l->last_ms) / l->interval_ms;
    if (earned) {
        l->tokens = (unsigned)MIN((uint64_t)l->burst, l->tokens + earned);
        l->last_ms += earned * l->interval_ms;
    }
    if (!l->tokens) {
        l->n_dropped++;
        return false;
    }
    l->tokens--;
    if (l->n_dropped) {
        log_warn("similar log lines were left out", kv("count", l->n_dropped));
        l->n_dropped = 0;
    }
    return true;
}
