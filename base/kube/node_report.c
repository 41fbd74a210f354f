#include "base/kube/node_report.h"

#include "base/data/json.h"
#include "base/data/time.h"

#include <stdio.h>

void node_text_clean(char *out, size_t n_bytes, struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n;) {
        unsigned char c = (unsigned char)text.p[i];
        size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        bool bad = c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xc0) || i + len > text.n;

        for (size_t k = 1; k < len && !bad; k++)
            bad = ((unsigned char)text.p[i + k] & 0xc0) != 0x80;
        bad |= c == 0xc2 && !bad && (unsigned char)text.p[i + 1] < 0xa0; /* U+0080 to U+009F */
        if (n + (bad ? 1 : len) >= n_bytes)
            break;
        if (bad) {
            out[n++] = '?';
            i += i + len <= text.n && c == 0xc2 ? len : 1;
            continue;
        }
        memcpy(out + n, text.p + i, len);
        n += len;
        i += len;
    }
    out[n] = '\0';
}

static json_t *spell_json(const struct node_spell *s)
{
    json_t *d = json_pack("{s:s, s:I, s:I, s:o}", "cause", cause_name(s->cause), "beganAgoMs",
                          (json_int_t)s->began_ago_ms, "lastedMs", (json_int_t)s->lasted_ms, "text",
                          json_str_of(str_of(s->text)));

    if (s->ongoing)
        json_object_set_new(d, "ongoing", json_true());
    if (s->n_times > 1)
        json_object_set_new(d, "times", json_integer(s->n_times));
    return d;
}

int node_report_write(struct buf *out, const struct node_report *r)
{
    char now[TIME_TEXT_BYTES];
    json_t *spells = json_array();

    time_text_s(now, r->now_unix_s);
    for (size_t i = 0; i < r->n_spells; i++)
        json_array_append_new(spells, spell_json(&r->spells[i]));
    json_auto_t *doc = json_pack("{s:s, s:s, s:o}", "run", r->run, "now", now, "spells", spells);
    return json_write(out, doc);
}

static int parse_spell(struct node_spell *s, const json_t *d, bool *known, struct err *e)
{
    const char *cause, *text;
    int64_t ago, lasted, times = json_i64_at(d, "times", 1);

    if (json_path_str(&cause, d, "cause", e) || json_path_str(&text, d, "text", e) ||
        json_path_i64(&ago, d, "beganAgoMs", e) || json_path_i64(&lasted, d, "lastedMs", e))
        return (int)e->code;
    if (ago < 0 || (uint64_t)ago > NODE_REPORT_AGE_MAX_MS || lasted < 0 || lasted > ago)
        return err_set(e, ERR_INVALID, "beganAgoMs %lld and lastedMs %lld make no time",
                       (long long)ago, (long long)lasted);
    s->cause = cause_parse(str_of(cause));
    *known = s->cause != CAUSE_NONE;
    s->began_ago_ms = (uint64_t)ago;
    s->lasted_ms = (uint64_t)lasted;
    s->ongoing = json_bool_at(d, "ongoing", false);
    s->n_times = (uint32_t)(times < 1 ? 1 : MIN(times, INT64_C(1000000000)));
    node_text_clean(s->text, sizeof s->text, str_of(text));
    return 0;
}

/* What is missing is as wrong as what is broken. */
static int refused(struct err *e, const char *where)
{
    if (e->code == ERR_NOT_FOUND)
        e->code = ERR_INVALID;
    return err_wrap(e, "report%s", where);
}

static bool is_run(const char *run)
{
    size_t n = 0;

    while (str_hex_digit(run[n]) >= 0)
        n++;
    return n == NODE_REPORT_RUN_BYTES - 1 && !run[n];
}

int node_report_parse(struct node_report *out, struct str body, struct err *e)
{
    struct node_report r = { 0 };
    json_auto_t *doc = NULL;
    const char *run, *now;
    json_t *spells, *d;
    int64_t now_us;
    size_t i;

    if (body.n > NODE_REPORT_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a report of more than %d bytes", NODE_REPORT_MAX_BYTES);
    if (json_parse(&doc, body, e) || json_path_str(&run, doc, "run", e) ||
        json_path_str(&now, doc, "now", e) || json_path(&spells, doc, "spells", e))
        return refused(e, "");
    if (!is_run(run))
        return err_set(e, ERR_INVALID, "report: run is not 16 hex digits");
    if (!time_parse(&now_us, str_of(now)) || now_us < 0) /* no machine counts below 1970 */
        return err_set(e, ERR_INVALID, "report: now is no time");
    if (!json_is_array(spells))
        return err_set(e, ERR_INVALID, "report: spells is no list");
    if (json_array_size(spells) > NODE_REPORT_SPELLS_MAX)
        return err_set(e, ERR_LIMIT, "report: more than %d spells", NODE_REPORT_SPELLS_MAX);
    snprintf(r.run, sizeof r.run, "%s", run);
    r.now_unix_s = now_us / 1000000;
    json_array_foreach(spells, i, d)
    {
        bool known = false;

        if (parse_spell(&r.spells[r.n_spells], d, &known, e)) {
            char where[32];

            snprintf(where, sizeof where, ": spells[%zu]", i);
            return refused(e, where);
        }
        if (known)
            r.n_spells++;
        else
            memset(&r.spells[r.n_spells], 0, sizeof r.spells[0]);
    }
    *out = r;
    return 0;
}
