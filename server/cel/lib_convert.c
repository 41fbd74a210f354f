/* Conversions between types and sizes (langdef.md, "List of Standard Definitions"). */
#include "base/core/mem.h"
#include "server/cel/func.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

typedef struct cel_value value;
#define FN(name) static value name(struct cel_run *r, const struct cel_call *c)
#define A        (c->args[0])

FN(same)
{
    (void)r;
    return A;
}

FN(size)
{
    (void)r;
    return CEL_INT_OF((int64_t)cel_size(&A));
}

FN(type_of)
{
    enum cel_kind k = A.kind == CEL_OBJECT ? CEL_OBJECT : A.kind;

    (void)r;
    return (value){ .kind = CEL_TYPE, .type = k };
}

/* ---- numbers ---- */

static value uint_of(uint64_t u)
{
    return (value){ .kind = CEL_UINT, .u = u };
}

static value double_of(double d)
{
    return (value){ .kind = CEL_DOUBLE, .d = d };
}

FN(uint_to_int)
{
    return A.u > INT64_MAX ? cel_error(r, "integer overflow") : CEL_INT_OF((int64_t)A.u);
}

FN(double_to_int)
{
    if (!(A.d > -9223372036854775808.0 && A.d < 9223372036854775808.0))
        return cel_error(r, "integer overflow");
    return CEL_INT_OF((int64_t)A.d);
}

/* Go's ParseInt(s, 10, 64) takes a sign. */
FN(string_to_int)
{
    int64_t i;
    struct str s = A.s;

    if (s.n > 1 && s.p[0] == '+' && s.p[1] != '-')
        s = str_n(s.p + 1, s.n - 1);
    return str_to_i64(s, &i) ? CEL_INT_OF(i)
                             : cel_error(r, "type conversion error from 'string' to 'int'");
}

FN(time_to_int)
{
    (void)r;
    return CEL_INT_OF(A.t.s);
}

FN(int_to_uint)
{
    return A.i < 0 ? cel_error(r, "unsigned integer overflow") : uint_of((uint64_t)A.i);
}

FN(double_to_uint)
{
    if (!(A.d >= 0 && A.d < 18446744073709551616.0))
        return cel_error(r, "unsigned integer overflow");
    return uint_of((uint64_t)A.d);
}

FN(string_to_uint)
{
    uint64_t u;

    return str_to_u64(A.s, &u) ? uint_of(u)
                               : cel_error(r, "type conversion error from 'string' to 'uint'");
}

FN(int_to_double)
{
    (void)r;
    return double_of((double)A.i);
}

FN(uint_to_double)
{
    (void)r;
    return double_of((double)A.u);
}

FN(string_to_double)
{
    char text[512], *end;

    if (!A.s.n || A.s.n >= sizeof text || memchr(A.s.p, '\0', A.s.n) || memchr(A.s.p, ' ', A.s.n) ||
        A.s.p[0] == '\t' || A.s.p[0] == '\n')
        return cel_error(r, "type conversion error from 'string' to 'double'");
    memcpy(text, A.s.p, A.s.n);
    text[A.s.n] = '\0';
    errno = 0;
    double d = strtod(text, &end);
    if (*end || (errno == ERANGE && fabs(d) > 1))
        return cel_error(r, "type conversion error from 'string' to 'double'");
    return double_of(d);
}

FN(string_to_bool)
{
    static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
    static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (str_is(A.s, yes[i]) || str_is(A.s, no[i]))
            return CEL_BOOL_OF(str_is(A.s, yes[i]));
    return cel_error(r, "type conversion error from 'string' to 'bool'");
}

/* ---- texts ---- */

/* strconv.FormatFloat(d, 'g', -1, 64): as few digits as bring the number back. */
void cel_double_text(char out[40], double d)
{
    char digits[40];
    int p = 0, exponent;

    if (isnan(d) || isinf(d)) {
        snprintf(out, 40, "%s", isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (; p < 17; p++) {
        snprintf(digits, sizeof digits, "%.*e", p, d);
        if (strtod(digits, NULL) == d)
            break;
    }
    exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 6)
        snprintf(out, 40, "%s", digits);
    else
        snprintf(out, 40, "%.*f", MAX(p - exponent, 0), d);
}

static bool is_utf8(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
        if (!n || n > s.n - i)
            return false;
        for (size_t k = 1; k < n; k++)
            if (((unsigned char)s.p[i + k] & 0xc0) != 0x80)
                return false;
        if ((c == 0xe0 && (unsigned char)s.p[i + 1] < 0xa0) ||
            (c == 0xed && (unsigned char)s.p[i + 1] > 0x9f) ||
            (c == 0xf0 && (unsigned char)s.p[i + 1] < 0x90) ||
            (c == 0xf4 && (unsigned char)s.p[i + 1] > 0x8f))
            return false;
        i += n;
    }
    return true;
}

struct cel_value cel_to_string(struct cel_run *r, const struct cel_value *v)
{
    char text[CIDR_TEXT_BYTES + 40] = "", address[INET6_ADDRSTRLEN];

    switch (v->kind) {
    case CEL_STRING:
        return *v;
    case CEL_BYTES:
        return is_utf8(v->s) ? CEL_STR_OF(v->s)
                             : cel_error(r, "invalid UTF-8 in bytes, cannot convert to string");
    case CEL_BOOL:
        return CEL_STR_OF(v->b ? STR("true") : STR("false"));
    case CEL_INT:
        snprintf(text, sizeof text, "%" PRId64, v->i);
        break;
    case CEL_UINT:
        snprintf(text, sizeof text, "%" PRIu64, v->u);
        break;
    case CEL_DOUBLE:
        cel_double_text(text, v->d);
        break;
    case CEL_TIMESTAMP:
        return cel_moment_text(r, v->t);
    case CEL_DURATION:
        return cel_duration_text(r, v->i);
    case CEL_IP:
    case CEL_CIDR:
        inet_ntop(v->net->cidr.family, v->net->ip, address, sizeof address);
        snprintf(text, sizeof text, v->kind == CEL_IP ? "%s" : "%s/%u", address,
                 v->net->cidr.prefix_bits);
        break;
    case CEL_TYPE:
        return CEL_STR_OF(str_of(cel_kind_name(v->type)));
    case CEL_NULL:
        return CEL_STR_OF(STR("null"));
    default:
        return cel_no_overload();
    }
    return cel_str_copy(r, CEL_STRING, str_of(text));
}

FN(to_string)
{
    return cel_to_string(r, &A);
}

FN(string_to_bytes)
{
    (void)r;
    return (value){ .kind = CEL_BYTES, .s = A.s };
}

/* ---- times ---- */

FN(string_to_duration)
{
    value v = { .kind = CEL_DURATION };

    return cel_duration_parse(&v.i, A.s, false)
               ? v
               : cel_error(r, "type conversion error from 'string' to "
                              "'google.protobuf.Duration'");
}

FN(int_to_duration) /* nanoseconds */
{
    (void)r;
    return (value){ .kind = CEL_DURATION, .i = A.i };
}

FN(string_to_time)
{
    value v = { .kind = CEL_TIMESTAMP };

    return cel_moment_parse(&v.t, A.s) ? v
                                       : cel_error(r, "type conversion error from 'string' to "
                                                      "'google.protobuf.Timestamp'");
}

FN(int_to_time)
{
    if (A.i < CEL_MOMENT_MIN || A.i > CEL_MOMENT_MAX)
        return cel_error(r, "timestamp overflow");
    return (value){ .kind = CEL_TIMESTAMP, .t = { A.i, 0 } };
}

const struct cel_fn cel_lib_convert[] = {
    { "size", false, "s:i", size, PRICE_ONE },
    { "size", false, "y:i", size, PRICE_ONE },
    { "size", false, "LA:i", size, PRICE_ONE },
    { "size", false, "MAB:i", size, PRICE_ONE },
    { "size", true, "s:i", size, PRICE_ONE },
    { "size", true, "y:i", size, PRICE_ONE },
    { "size", true, "LA:i", size, PRICE_ONE },
    { "size", true, "MAB:i", size, PRICE_ONE },
    { "dyn", false, "A:D", same, PRICE_ONE },
    { "type", false, "A:TA", type_of, PRICE_ONE },
    { "int", false, "i:i", same, PRICE_ONE },
    { "int", false, "u:i", uint_to_int, PRICE_ONE },
    { "int", false, "d:i", double_to_int, PRICE_ONE },
    { "int", false, "s:i", string_to_int, PRICE_ONE },
    { "int", false, "t:i", time_to_int, PRICE_ONE },
    { "uint", false, "u:u", same, PRICE_ONE },
    { "uint", false, "i:u", int_to_uint, PRICE_ONE },
    { "uint", false, "d:u", double_to_uint, PRICE_ONE },
    { "uint", false, "s:u", string_to_uint, PRICE_ONE },
    { "double", false, "d:d", same, PRICE_ONE },
    { "double", false, "i:d", int_to_double, PRICE_ONE },
    { "double", false, "u:d", uint_to_double, PRICE_ONE },
    { "double", false, "s:d", string_to_double, PRICE_ONE },
    { "bool", false, "b:b", same, PRICE_ONE },
    { "bool", false, "s:b", string_to_bool, PRICE_ONE },
    { "string", false, "s:s", same, PRICE_ONE },
    { "string", false, "b:s", to_string, PRICE_ONE },
    { "string", false, "i:s", to_string, PRICE_ONE },
    { "string", false, "u:s", to_string, PRICE_ONE },
    { "string", false, "d:s", to_string, PRICE_ONE },
    { "string", false, "y:s", to_string, PRICE_ARG0 },
    { "string", false, "t:s", to_string, PRICE_ONE },
    { "string", false, "r:s", to_string, PRICE_ONE },
    { "string", false, "p:s", to_string, PRICE_ONE },
    { "string", false, "c:s", to_string, PRICE_ONE },
    { "bytes", false, "y:y", same, PRICE_ONE },
    { "bytes", false, "s:y", string_to_bytes, PRICE_TO_BYTES },
    { "duration", false, "r:r", same, PRICE_ONE },
    { "duration", false, "s:r", string_to_duration, PRICE_ONE },
    { "duration", false, "i:r", int_to_duration, PRICE_ONE },
    { "timestamp", false, "t:t", same, PRICE_ONE },
    { "timestamp", false, "s:t", string_to_time, PRICE_ONE },
    { "timestamp", false, "i:t", int_to_time, PRICE_ONE },
    { 0 },
};
