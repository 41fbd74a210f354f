#pragma once
/*
 * Log: one event per line on stderr: a constant sentence to search for, and keys for all that
 * varies.
 *
 *     log_info("peer connected", kv("node", name), kv("rtt_ms", rtt_ms));
 *     2026-11-22T09:34:23.512Z info  peer connected node=nat1 rtt_ms=12
 *
 * error: someone must act; warn: degraded, and how we go on; info: rare state changes; debug: per
 * request. Values with spaces, quotes or control bytes are quoted and escaped, so a peer cannot
 * forge a line. Never pass a token, password or key. Any thread; a line is one write.
 */
#include "base/core/str.h"

enum log_level { LOG_LVL_DEBUG, LOG_LVL_INFO, LOG_LVL_WARN, LOG_LVL_ERROR };

struct log_kv {
    const char *key;
    enum { LOG_KV_STR, LOG_KV_I64, LOG_KV_U64, LOG_KV_BOOL } type;
    union {
        struct str s;
        int64_t i;
        uint64_t u;
    };
};

static inline struct log_kv log_kv_cstr(const char *key, const char *v)
{
    return (struct log_kv){ .key = key, .type = LOG_KV_STR, .s = v ? str_of(v) : STR("<nil>") };
}
static inline struct log_kv log_kv_str(const char *key, struct str v)
{
    return (struct log_kv){ .key = key, .type = LOG_KV_STR, .s = v };
}
static inline struct log_kv log_kv_i64(const char *key, long long v)
{
    return (struct log_kv){ .key = key, .type = LOG_KV_I64, .i = v };
}
static inline struct log_kv log_kv_u64(const char *key, unsigned long long v)
{
    return (struct log_kv){ .key = key, .type = LOG_KV_U64, .u = v };
}
static inline struct log_kv log_kv_bool(const char *key, bool v)
{
    return (struct log_kv){ .key = key, .type = LOG_KV_BOOL, .u = v };
}

/* clang-format off */
#define kv(key, value) _Generic((value),                                            \
    char *: log_kv_cstr, const char *: log_kv_cstr, struct str: log_kv_str,         \
    bool: log_kv_bool, unsigned: log_kv_u64, unsigned long: log_kv_u64,             \
    unsigned long long: log_kv_u64, unsigned short: log_kv_u64,                     \
    unsigned char: log_kv_u64, default: log_kv_i64)(key, value)
/* clang-format on */

extern enum log_level log_level_min; /* LOG_LVL_INFO at start; set before threads start */

void log_write(enum log_level level, const char *event, const struct log_kv *kvs, size_t n);

#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        if ((level) >= log_level_min) {                                                            \
            const struct log_kv kvs_[] = { { .key = NULL }, ##__VA_ARGS__ };                       \
            log_write(level, event, kvs_ + 1, ARRAY_LEN(kvs_) - 1);                                \
        }                                                                                          \
    } while (0)

#define log_debug(event, ...) LOG_AT(LOG_LVL_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_LVL_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_LVL_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_LVL_ERROR, event, ##__VA_ARGS__)

/* For lines that a peer can repeat: true at most burst times at once and then once per
 * interval_ms. Keep the state static beside the call:
 *     static struct log_limit l = LOG_LIMIT(5, 1000);
 *     if (log_allowed(&l)) log_warn(...);
 * One thread per state: code that both roles of a process run keeps it in its object instead. The
 * number left out is logged with the next line that passes. */
struct log_limit {
    unsigned burst;
    uint64_t interval_ms;
    unsigned tokens;
    uint64_t last_ms;
    uint64_t n_dropped;
};
#define LOG_LIMIT(burst_, interval_ms_)                                                            \
    {                                                                                              \
        .burst = (burst_), .interval_ms = (interval_ms_)                                           \
    }
bool log_allowed(struct log_limit *l);
