#include "server/api/params.h"

#include "base/http/url.h"

#include <stdio.h>

/* apimachinery/pkg/runtime, Convert_Slice_string_To_bool: only these two mean false. */
static bool truth(const char *v)
{
    return strcmp(v, "0") != 0 && !str_eq_nocase(str_of(v), STR("false"));
}

/* strconv.ParseBool, which pretty goes through. */
static bool go_bool(const char *v)
{
    static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (strcmp(v, yes[i]) == 0)
            return true;
    return false;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* strconv.ParseInt(v, 10, 64). False: bad says why, unless it does already. */
static bool number(int64_t *out, const char *v, char bad[128])
{
    struct str s = str_of(v), digits = s;

    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        digits = str_n(s.p + 1, s.n - 1);
    if (all_digits(digits) && str_to_i64(s.p && s.p[0] == '+' ? digits : s, out))
        return true;
    if (!*bad)
        snprintf(bad, 128, "strconv.ParseInt: parsing \"%.64s\": %s", v,
                 all_digits(digits) ? "value out of range" : "invalid syntax");
    return false;
}

static void resource_version(struct params *p, const char *v)
{
    int64_t n;

    p->has_resource_version = *v != '\0';
    if (!*v)
        return;
    if (all_digits(str_of(v)) && str_to_i64(str_of(v), &n)) {
        p->resource_version = n;
        return;
    }
    p->bad_resource_version = v;
    p->bad_resource_why = all_digits(str_of(v)) ? "value out of range" : "invalid syntax";
}

bool params_duration_ms(int64_t *out, struct str text)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = { { "ns", 1e-6 }, { "us", 1e-3 }, { "\u00b5s", 1e-3 }, { "\u03bcs", 1e-3 },
                  { "ms", 1 },    { "s", 1000 },  { "m", 60 * 1000 },  { "h", 3600 * 1000 } };
    double sum = 0, sign = 1;

    if (text.n && (text.p[0] == '-' || text.p[0] == '+')) {
        sign = text.p[0] == '-' ? -1 : 1;
        text = str_n(text.p + 1, text.n - 1);
    }
    if (str_is(text, "0")) {
        *out = 0;
        return true;
    }
    if (!text.n)
        return false;
    while (text.n) {
        double value = 0, scale = 1;
        size_t i = 0, n_digits = 0;
        bool fraction = false, known = false;

        for (; i < text.n; i++) {
            char c = text.p[i];

            if (c == '.' && !fraction) {
                fraction = true;
            } else if (c >= '0' && c <= '9') {
                n_digits++;
                value = value * 10 + (c - '0');
                scale *= fraction ? 10 : 1;
            } else {
                break;
            }
        }
        if (!n_digits || n_digits > 18)
            return false;
        text = str_n(text.p + i, text.n - i);
        for (size_t u = 0; u < ARRAY_LEN(units) && !known; u++) {
            size_t len = strlen(units[u].name);

            /* "m" begins "ms" too, which stands before it */
            if (!str_starts(text, str_of(units[u].name)))
                continue;
            known = true;
            sum += value / scale * units[u].ms;
            text = str_n(text.p + len, text.n - len);
        }
        if (!known)
            return false;
    }
    if (sum > 9.2e12) /* Go's, in nanoseconds */
        return false;
    *out = (int64_t)(sign * sum);
    return true;
}

static void timeout(struct params *p, const char *v)
{
    int64_t ms;

    if (!*v)
        return;
    if (params_duration_ms(&ms, str_of(v)))
        p->deadline_ms = ms > 0 ? ms : 0;
    else
        snprintf(p->bad_timeout, sizeof p->bad_timeout,
                 "invalid timeout specified in the request URL - time: invalid duration "
                 "\"%.40s\"",
                 v);
}

struct known {
    const char *name;
    const char **text;
    bool *flag;
};

enum odd { /* parameters that are neither text nor flag */
           ODD_PRETTY,
           ODD_LIMIT,
           ODD_TIMEOUT_S,
           ODD_GRACE,
           ODD_VERSION,
           ODD_TIMEOUT,
           ODD_DRY_RUN,
           ODDS_N
};
static const char *const ODD_NAMES[ODDS_N] = { "pretty",          "limit",
                                               "timeoutSeconds",  "gracePeriodSeconds",
                                               "resourceVersion", "timeout",
                                               "dryRun" };

static void set_odd(struct params *p, enum odd o, const char *v)
{
    switch (o) {
    case ODD_PRETTY:
        p->has_pretty = *v != '\0';
        p->pretty = go_bool(v);
        break;
    case ODD_LIMIT:
        if (number(&p->limit, v, p->bad_list) && p->limit < 0)
            p->limit = 0;
        break;
    case ODD_TIMEOUT_S:
        p->has_timeout = number(&p->timeout_s, v, p->bad_list) && p->timeout_s != 0;
        break;
    case ODD_GRACE:
        if (*v && number(&p->grace_period_s, v, p->bad_delete) && p->grace_period_s < 0)
            p->grace_period_s = 1; /* as upstream for what is below 0 */
        break;
    case ODD_VERSION:
        resource_version(p, v);
        break;
    case ODD_TIMEOUT:
        timeout(p, v);
        break;
    case ODD_DRY_RUN:
        p->dry_run = true;
        if (strcmp(v, "All") != 0 && !p->bad_dry_run)
            p->bad_dry_run = v;
        break;
    case ODDS_N:
        break;
    }
}

/* seen: a bit for each parameter that has come. */
static void set(struct params *p, uint32_t *seen, const char *name, const char *v)
{
    const struct known known[] = {
        { "watch", NULL, &p->watch },
        { "allowWatchBookmarks", NULL, &p->allow_watch_bookmarks },
        { "sendInitialEvents", NULL, &p->send_initial_events },
        { "force", NULL, &p->force },
        { "continue", &p->continue_, NULL },
        { "resourceVersionMatch", &p->resource_version_match, NULL },
        { "labelSelector", &p->label_selector, NULL },
        { "fieldSelector", &p->field_selector, NULL },
        { "propagationPolicy", &p->propagation_policy, NULL },
        { "fieldManager", &p->field_manager, NULL },
        { "fieldValidation", &p->field_validation, NULL },
        { "includeObject", &p->include_object, NULL },
    };

    for (size_t i = 0; i < ODDS_N; i++) {
        if (strcmp(name, ODD_NAMES[i]) != 0)
            continue;
        if (!(*seen & (1u << i)) || i == ODD_DRY_RUN) /* dryRun is a list */
            set_odd(p, (enum odd)i, v);
        *seen |= 1u << i;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        uint32_t bit = 1u << (ODDS_N + i);

        if (strcmp(name, known[i].name) != 0)
            continue;
        if (*seen & bit)
            return;
        *seen |= bit;
        if (known[i].text)
            *known[i].text = v;
        else
            *known[i].flag = truth(v);
        if (known[i].flag == &p->send_initial_events)
            p->has_send_initial_events = true;
        if (known[i].flag == &p->force)
            p->has_force = true;
        return;
    }
}

int params_parse(struct params *out, struct str query, struct err *e)
{
    struct params p = {
        .grace_period_s = -1,
        .continue_ = "",
        .resource_version_match = "",
        .label_selector = "",
        .field_selector = "",
        .propagation_policy = "",
        .field_manager = "",
        .field_validation = "",
        .include_object = "",
        .bad_resource_version = "",
        .bad_resource_why = "",
        .text = BUF(2 * query.n + 2),
    };
    struct str name, value;
    uint32_t seen = 0;

    *out = p;
    /* decoded text is never longer than what was sent: reserved once, it does not move */
    if (buf_reserve(&out->text, 2 * query.n + 2))
        return err_set(e, ERR_LIMIT, "query: too long");
    for (struct str rest = query; url_query_next(&rest, &name, &value);) {
        size_t at = out->text.n, v_at;

        if (url_decode_query(&out->text, name) || buf_addc(&out->text, '\0'))
            goto bad;
        v_at = out->text.n;
        if (url_decode_query(&out->text, value) || buf_addc(&out->text, '\0'))
            goto bad;
        set(out, &seen, out->text.p + at, out->text.p + v_at);
    }
    return 0;
bad:
    err_set(e, ERR_INVALID, "query: bad escape in \"%.*s\"", (int)MIN(name.n, (size_t)64), name.p);
    buf_deinit(&out->text);
    *out = p;
    return e->code;
}

void params_deinit(struct params *p)
{
    buf_deinit(&p->text);
}
