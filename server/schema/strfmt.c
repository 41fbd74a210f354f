#include "server/schema/strfmt.h"

#include "base/data/base64.h"
#include "base/data/time.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_of(struct str s, bool (*is)(char c))
{
    for (size_t i = 0; i < s.n; i++)
        if (!is(s.p[i]))
            return false;
    return s.n > 0;
}

static bool is_hex(char c)
{
    return str_hex_digit(c) >= 0;
}

/* ---- addresses ---- */

static bool address(int family, struct str s)
{
    char text[INET6_ADDRSTRLEN + 1];
    struct in6_addr a;

    if (s.n >= sizeof text || memchr(s.p, '\0', s.n))
        return false;
    snprintf(text, sizeof text, STR_FMT, STR_ARG(s));
    return inet_pton(family, text, &a) == 1;
}

static bool ipv4(struct str s)
{
    return s.n && address(AF_INET, s);
}

static bool ipv6(struct str s)
{
    return s.n && address(AF_INET6, s);
}

static bool cidr(struct str s)
{
    struct str ip, bits;
    uint64_t n;

    if (!str_cut(s, '/', &ip, &bits) || !str_to_u64(bits, &n))
        return false;
    return ipv4(ip) ? n <= 32 : ipv6(ip) && n <= 128;
}

/* Six, eight or twenty bytes: 00:00:5e:00:53:01, with '-', or 0000.5e00.5301 (Go's net.ParseMAC) */
static bool mac(struct str s)
{
    size_t group = s.n > 4 && s.p[4] == '.' ? 4 : 2, n = 0;
    char sep = s.n > group ? s.p[group] : '\0';

    if (sep != (group == 4 ? '.' : ':') && sep != (group == 4 ? '.' : '-'))
        return false;
    if ((s.n + 1) % (group + 1) != 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool at_sep = i % (group + 1) == group;
        if (at_sep ? s.p[i] != sep : !is_hex(s.p[i]))
            return false;
        n += !at_sep;
    }
    return n == 12 || n == 16 || n == 40;
}

static bool label(struct str s)
{
    if (!s.n || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '-' && !isalnum((unsigned char)s.p[i]) && !((unsigned char)s.p[i] & 0x80))
            return false;
    return true;
}

static bool hostname(struct str s)
{
    struct str head, rest = s;
    bool more;

    if (s.n > 255)
        return false;
    do {
        more = str_cut(rest, '.', &head, &rest);
        if (!label(head))
            return false;
    } while (more);
    return head.n >= 2 || head.n == s.n; /* the last one of several has two letters */
}

static bool uri(struct str s) /* Go's url.ParseRequestURI */
{
    size_t scheme = 0;

    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
        if (s.p[i] == '%' && (s.n - i < 3 || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2])))
            return false;
    }
    while (scheme < s.n &&
           (isalnum((unsigned char)s.p[scheme]) || (scheme && strchr("+-.", s.p[scheme]))))
        scheme++;
    if (s.p[0] == '/')
        scheme = 0;
    else if (!scheme || scheme == s.n || s.p[scheme] != ':' || !isalpha((unsigned char)s.p[0]))
        return false;
    struct str rest = scheme ? str_n(s.p + scheme + 1, s.n - scheme - 1) : s;
    if (!scheme || !str_starts(rest, STR("//")))
        return true;
    rest = str_n(rest.p + 2, rest.n - 2);
    for (size_t i = 0; i < rest.n && !strchr("/?#", rest.p[i]); i++)
        if (strchr(" <>\"\\^`{|}", rest.p[i]))
            return false;
    return true;
}

/* A dot-atom of RFC 5322 3.2.3. */
static bool dot_atom(struct str s)
{
    char before = '.';

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool fits = isalnum((unsigned char)c) || (unsigned char)c >= 0x80 ||
                    (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
        if (c == '.' ? before == '.' : !fits)
            return false;
        before = c;
    }
    return before != '.';
}

static bool email(struct str s) /* an address, or `Name <address>` */
{
    struct str local, domain;
    size_t at = s.n;

    s = str_trim(s);
    if (s.n && s.p[s.n - 1] == '>') {
        const char *open = memchr(s.p, '<', s.n);
        if (!open)
            return false;
        s = str_n(open + 1, (size_t)(s.p + s.n - open) - 2);
    }
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '@')
            at = i;
    if (at == s.n)
        return false;
    local = str_n(s.p, at);
    domain = str_n(s.p + at + 1, s.n - at - 1);
    if (local.n > 2 && local.p[0] == '"' && local.p[local.n - 1] == '"')
        return dot_atom(domain) && !memchr(local.p + 1, '"', local.n - 2);
    return dot_atom(local) && dot_atom(domain);
}

/* ---- identifiers ---- */

/* 8-4-4-4-12 hex digits, the dashes optional; version '\0': any */
static bool uuid_of(struct str s, char version)
{
    char hex[32];
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '-' && (n == 8 || n == 12 || n == 16 || n == 20) && s.p[i - 1] != '-')
            continue;
        if (n == 32 || !is_hex(s.p[i]))
            return false;
        hex[n++] = s.p[i];
    }
    if (n != 32 || (version && hex[12] != version))
        return false;
    return (version != '4' && version != '5') || strchr("89abAB", hex[16]);
}

static bool uuid(struct str s)
{
    return uuid_of(s, '\0');
}

static bool uuid3(struct str s)
{
    return uuid_of(s, '3');
}

static bool uuid4(struct str s)
{
    return uuid_of(s, '4');
}

static bool uuid5(struct str s)
{
    return uuid_of(s, '5');
}

static bool bson_id(struct str s)
{
    return s.n == 24 && all_of(s, is_hex);
}

/* Digits (a check of 10 may be X) without spaces and dashes; 0: something else is in it. */
static size_t isbn_digits(struct str s, int out[13])
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '-' || c == ' ')
            continue;
        if (n == 13 || (!is_digit(c) && !(c == 'X' && n == 9)))
            return 0;
        out[n++] = c == 'X' ? 10 : c - '0';
    }
    return n;
}

static bool isbn10(struct str s)
{
    int d[13], sum = 0;

    if (isbn_digits(s, d) != 10)
        return false;
    for (int i = 0; i < 10; i++)
        sum += (10 - i) * d[i];
    return sum % 11 == 0;
}

static bool isbn13(struct str s)
{
    int d[13], sum = 0;

    if (isbn_digits(s, d) != 13)
        return false;
    for (int i = 0; i < 13; i++)
        sum += (i % 2 ? 3 : 1) * d[i];
    return d[9] < 10 && sum % 10 == 0;
}

static bool isbn(struct str s)
{
    return isbn10(s) || isbn13(s);
}

static bool credit_card(struct str s) /* ISO/IEC 7812-1, annex B */
{
    int sum = 0;
    size_t n = 0;

    for (size_t i = s.n; i-- > 0;) {
        if (s.p[i] == '-' || s.p[i] == ' ')
            continue;
        if (!is_digit(s.p[i]))
            return false;
        int d = (s.p[i] - '0') << (n % 2);
        sum += d > 9 ? d - 9 : d;
        n++;
    }
    return n >= 13 && n <= 19 && sum % 10 == 0;
}

static bool ssn(struct str s)
{
    if (s.n != 11)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (i == 3 || i == 6 ? s.p[i] != '-' && s.p[i] != ' ' : !is_digit(s.p[i]))
            return false;
    return true;
}

static bool hex_color(struct str s)
{
    if (s.n && s.p[0] == '#')
        s = str_n(s.p + 1, s.n - 1);
    return (s.n == 3 || s.n == 6) && all_of(s, is_hex);
}

static bool rgb_color(struct str s) /* rgb(0, 128, 255) */
{
    struct str head, rest;
    bool more;
    int n = 0;

    if (!str_starts(s, STR("rgb(")) || !str_ends(s, STR(")")))
        return false;
    rest = str_n(s.p + 4, s.n - 5);
    do {
        uint64_t v;
        more = str_cut(rest, ',', &head, &rest);
        if (!str_to_u64(str_trim(head), &v) || v > 255)
            return false;
        n++;
    } while (more);
    return n == 3;
}

static bool bytes(struct str s)
{
    return s.n && base64_valid(s);
}

static bool any(struct str s)
{
    (void)s;
    return true;
}

/* ---- time ---- */

static bool date(struct str s)
{
    char text[32];
    int64_t us;

    if (s.n != 10)
        return false;
    snprintf(text, sizeof text, STR_FMT "T00:00:00Z", STR_ARG(s));
    return time_parse(&us, str_of(text));
}

static bool date_time(struct str s) /* RFC 3339; the 't' and 'z' may be small */
{
    char text[64];
    int64_t us;

    if (s.n >= sizeof text)
        return false;
    for (size_t i = 0; i < s.n; i++)
        text[i] = (char)(s.p[i] == 't' || s.p[i] == 'z' ? s.p[i] - 32 : s.p[i]);
    return time_parse(&us, str_n(text, s.n));
}

/* A number and a unit, one after the other: "1h30m", "2 weeks". */
static bool duration(struct str s)
{
    static const char *const units[] = { "ns",     "nano", "us",  "micro",  "\xc2\xb5s", "ms",
                                         "milli",  "s",    "sec", "second", "m",         "min",
                                         "minute", "h",    "hr",  "hour",   "d",         "day",
                                         "w",      "wk",   "week" };
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+');

    if (i && s.n == 1)
        return false;
    if (s.n - i == 1 && s.p[i] == '0')
        return true;
    bool some = false;
    while (i < s.n) {
        size_t n_digits = 0, from;
        for (; i < s.n && (is_digit(s.p[i]) || s.p[i] == '.'); i++)
            n_digits += is_digit(s.p[i]);
        while (i < s.n && s.p[i] == ' ')
            i++;
        for (from = i; i < s.n && (isalpha((unsigned char)s.p[i]) || s.p[i] & 0x80); i++)
            ;
        struct str unit = str_n(s.p + from, i - from);
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(units) && !known; k++)
            known = str_is(unit, units[k]) || (unit.n > 3 && unit.p[unit.n - 1] == 's' &&
                                               str_is(str_n(unit.p, unit.n - 1), units[k]));
        if (!n_digits || !known)
            return false;
        some = true;
        while (i < s.n && s.p[i] == ' ')
            i++;
    }
    return some;
}

/* ---- the table ---- */

static const struct {
    const char *name; /* without dashes */
    bool (*check)(struct str s);
} formats[] = {
    { "bsonobjectid", bson_id },
    { "uri", uri },
    { "email", email },
    { "hostname", hostname },
    { "ipv4", ipv4 },
    { "ipv6", ipv6 },
    { "cidr", cidr },
    { "mac", mac },
    { "uuid", uuid },
    { "uuid3", uuid3 },
    { "uuid4", uuid4 },
    { "uuid5", uuid5 },
    { "isbn", isbn },
    { "isbn10", isbn10 },
    { "isbn13", isbn13 },
    { "creditcard", credit_card },
    { "ssn", ssn },
    { "hexcolor", hex_color },
    { "rgbcolor", rgb_color },
    { "byte", bytes },
    { "password", any },
    { "date", date },
    { "duration", duration },
    { "datetime", date_time },
};

static int find(const char *format)
{
    char name[24];
    size_t n = 0;

    for (; *format; format++) {
        if (*format == '-')
            continue;
        if (n + 1 == sizeof name)
            return -1;
        name[n++] = *format;
    }
    name[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(formats[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool strfmt_is_known(const char *format)
{
    return find(format) >= 0;
}

bool strfmt_check(const char *format, struct str s)
{
    int at = find(format);

    return at < 0 || formats[at].check(s);
}
