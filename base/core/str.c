#include "base/core/str.h"

#include "base/core/mem.h"

#include <strings.h>

bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_n(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_cut(struct str s, char sep, struct str *head, struct str *rest)
{
    return str_cut_str(s, str_n(&sep, 1), head, rest);
}

bool str_cut_str(struct str s, struct str sep, struct str *head, struct str *rest)
{
    const char *at = s.n ? memmem(s.p, s.n, sep.p, sep.n) : NULL;

    if (!at) {
        *head = s;
        *rest = str_n(NULL, 0);
        return false;
    }
    *head = str_n(s.p, (size_t)(at - s.p));
    *rest = str_n(at + sep.n, s.n - head->n - sep.n);
    return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;

    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool negative = s.n && s.p[0] == '-';
    uint64_t v;

    if (negative)
        s = str_n(s.p + 1, s.n - 1);
    if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

char *str_dup(struct str s)
{
    return mem_strndup(s.p, s.n);
}

size_t str_join_texts(char *out, size_t room, const char *const *texts)
{
    size_t n = 0;

    for (; *texts; texts++) {
        size_t more = MIN(strlen(*texts), room - 1 - n);

        memcpy(out + n, *texts, more);
        n += more;
    }
    out[n] = '\0';
    return n;
}

void str_hex(char *out, const void *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = p;

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = '\0';
}

int str_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool str_unhex(void *out, size_t n, struct str hex)
{
    unsigned char *b = out;

    if (hex.n != 2 * n)
        return false;
    for (size_t i = 0; i < hex.n; i++)
        if (str_hex_digit(hex.p[i]) < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        b[i] = (unsigned char)((unsigned)str_hex_digit(hex.p[2 * i]) << 4 |
                               (unsigned)str_hex_digit(hex.p[2 * i + 1]));
    return true;
}

bool str_eq_secret(struct str a, struct str b)
{
    unsigned diff = 0;

    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned)(unsigned char)(a.p[i] ^ b.p[i]);
    return diff == 0;
}
