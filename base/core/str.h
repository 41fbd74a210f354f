#pragma once
/*
 * Str: a view of bytes that somebody else owns; not terminated. Pass it by value. Any thread.
 */
#include "base/core/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p; /* may be NULL when n is 0 */
    size_t n;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *s) /* NULL is empty */
{
    return (struct str){ s, s ? strlen(s) : 0 };
}

static inline struct str str_n(const void *p, size_t n)
{
    return (struct str){ (const char *)p, n };
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (b.n == 0 || memcmp(a.p, b.p, b.n) == 0);
}

static inline bool str_is(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s); /* space, tab, CR, LF at both ends */

/* Splits at the first sep: *head is what is before it, *rest what is after. Without a sep, *head
 * is all, *rest is empty, and false is returned. s may be *rest. */
bool str_cut(struct str s, char sep, struct str *head, struct str *rest);
bool str_cut_str(struct str s, struct str sep, struct str *head, struct str *rest);

/* Whole-string numbers, no sign for u64, no spaces; false (and *out untouched) if anything is off.
 */
bool str_to_u64(struct str s, uint64_t *out);
bool str_to_i64(struct str s, int64_t *out);

char *str_dup(struct str s); /* terminated copy on the heap */

/* The texts that follow, one after another, as snprintf's "%s%s" at a tenth of its cost: cut at
 * room - 1 bytes and terminated. Returns the bytes that are there. None of them is NULL. */
#define str_join(out, room, ...) str_join_texts(out, room, TEXTS(__VA_ARGS__))
size_t str_join_texts(char *out, size_t room, const char *const *texts);

/* Lower-case hexadecimal. out holds 2n+1 bytes. */
void str_hex(char *out, const void *p, size_t n);
/* Exactly 2n hex digits of either case into n bytes; false if not. */
bool str_unhex(void *out, size_t n, struct str hex);
int str_hex_digit(char c); /* its value; -1 if c is none */

/* Equal, in time that depends on the lengths only. */
bool str_eq_secret(struct str a, struct str b);
