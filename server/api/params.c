#include "server/api/params.h"

#include "base/http/url.h"

/* apimachinery/pkg/runtime, Convert_Slice_string_To_bool: only these two mean false. */
static bool truth(const char *v)
{
    return strcmp(v, "0") != 0 && !str_eq_nocase(str_of(v), STR("false"));
}

static int number(int64_t *out, const char *name, const char *v, struct err *e)
{
    if (!*v) {
        *out = 0;
        return 0;
    }
    if (!str_to_i64(str_of(v), out) || *out < 0)
        return err_set(e, ERR_INVALID, "%s: Invalid value: \"%.64s\": must be a number >= 0", name,
                       v);
    return 0;
}

static int set(struct params *p, const char *name, const char *v, struct err *e)
{
    const struct {
        const char *name;
        const char **text;
        bool *flag;
        int64_t *n;
    } known[] = {
        { "watch", NULL, &p->watch, NULL },
        { "allowWatchBookmarks", NULL, &p->allow_watch_bookmarks, NULL },
        { "sendInitialEvents", NULL, &p->send_initial_events, NULL },
        { "pretty", NULL, &p->pretty, NULL },
        { "force", NULL, &p->force, NULL },
        { "limit", NULL, NULL, &p->limit },
        { "timeoutSeconds", NULL, NULL, &p->timeout_s },
        { "gracePeriodSeconds", NULL, NULL, &p->grace_period_s },
        { "resourceVersion", NULL, NULL, &p->resource_version },
        { "continue", &p->continue_, NULL, NULL },
        { "resourceVersionMatch", &p->resource_version_match, NULL, NULL },
        { "labelSelector", &p->label_selector, NULL, NULL },
        { "fieldSelector", &p->field_selector, NULL, NULL },
        { "propagationPolicy", &p->propagation_policy, NULL, NULL },
        { "fieldManager", &p->field_manager, NULL, NULL },
        { "fieldValidation", &p->field_validation, NULL, NULL },
        { "includeObject", &p->include_object, NULL, NULL },
        { "timeout", &p->timeout, NULL, NULL },
    };

    if (strcmp(name, "dryRun") == 0) {
        if (strcmp(v, "All") != 0)
            return err_set(e, ERR_INVALID,
                           "dryRun: Unsupported value: \"%.64s\": supported values: \"All\"", v);
        p->dry_run = true;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(name, known[i].name) != 0)
            continue;
        if (known[i].text)
            *known[i].text = v;
        if (known[i].flag)
            *known[i].flag = truth(v);
        if (known[i].flag == &p->send_initial_events)
            p->has_send_initial_events = true;
        if (known[i].flag == &p->force)
            p->has_force = true;
        if (known[i].n == &p->resource_version)
            p->has_resource_version = *v != '\0';
        if (known[i].n == &p->grace_period_s && !*v)
            return 0;
        if (known[i].n)
            return number(known[i].n, name, v, e);
    }
    return 0;
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
        .timeout = "",
        .text = BUF(2 * query.n + 2),
    };
    struct str name, value;

    /* decoded text is never longer than what was sent: reserved once, it does not move */
    if (buf_reserve(&p.text, 2 * query.n + 2))
        return err_set(e, ERR_LIMIT, "query: too long");
    for (struct str rest = query; url_query_next(&rest, &name, &value);) {
        size_t at = p.text.n, v_at;

        if (url_decode_query(&p.text, name) || buf_addc(&p.text, '\0'))
            goto bad;
        v_at = p.text.n;
        if (url_decode_query(&p.text, value) || buf_addc(&p.text, '\0'))
            goto bad;
        if (set(&p, p.text.p + at, p.text.p + v_at, e))
            goto fail;
    }
    *out = p;
    return 0;
bad:
    err_set(e, ERR_INVALID, "query: bad escape in \"%.*s\"", (int)MIN(name.n, (size_t)64), name.p);
fail:
    buf_deinit(&p.text);
    return e->code;
}

void params_deinit(struct params *p)
{
    buf_deinit(&p->text);
}
