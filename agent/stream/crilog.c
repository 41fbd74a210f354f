#include "agent/stream/crilog.h"

#include "base/data/time.h"
#include "base/http/url.h"

/* ---- options ---- */

/* As apimachinery reads a bool from a query: all but false and 0 is true, nothing too. */
static bool bool_of(struct str v)
{
    return !str_is(v, "0") && !str_eq_nocase(v, STR("false"));
}

static int int_of(int64_t *out, const char *name, struct str v, int64_t min, struct err *e)
{
    int64_t n;

    if (!str_to_i64(v, &n))
        return err_set(e, ERR_INVALID, "%s: \"" STR_FMT "\" is not a number", name, STR_ARG(v));
    if (n < min)
        return err_set(e, ERR_INVALID, "%s: must be greater than or equal to %d", name, (int)min);
    *out = n;
    return 0;
}

static int option_set(struct crilog_options *o, bool *has_seconds, bool *has_time, struct str name,
                      struct str v, int64_t now_unix_us, struct err *e)
{
    int64_t seconds;

    if (str_is(name, "follow")) {
        o->follow = bool_of(v);
    } else if (str_is(name, "timestamps")) {
        o->timestamps = bool_of(v);
    } else if (str_is(name, "previous")) {
        o->previous = bool_of(v);
    } else if (str_is(name, "tailLines")) {
        return int_of(&o->tail_lines, "tailLines", v, 0, e);
    } else if (str_is(name, "limitBytes")) {
        return int_of(&o->limit_bytes, "limitBytes", v, 1, e);
    } else if (str_is(name, "sinceSeconds")) {
        if (int_of(&seconds, "sinceSeconds", v, 1, e))
            return e->code;
        *has_seconds = true;
        o->since_unix_us = seconds > now_unix_us / 1000000 ? 0 : now_unix_us - seconds * 1000000;
    } else if (str_is(name, "sinceTime")) {
        if (!time_parse(&o->since_unix_us, v))
            return err_set(e, ERR_INVALID, "sinceTime: \"" STR_FMT "\" is not an RFC 3339 time",
                           STR_ARG(v));
        *has_time = true;
    } else if (str_is(name, "stream")) {
        if (str_is(v, "Stdout"))
            o->stream = CRILOG_STDOUT;
        else if (str_is(v, "Stderr"))
            o->stream = CRILOG_STDERR;
        else if (!str_is(v, "All") && v.n)
            return err_set(e, ERR_INVALID, "stream: \"" STR_FMT "\" is not All, Stdout or Stderr",
                           STR_ARG(v));
    }
    return 0;
}

static bool is_option(struct str name)
{
    static const char *const names[] = { "follow",     "timestamps",   "previous",  "tailLines",
                                         "limitBytes", "sinceSeconds", "sinceTime", "stream" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(name, names[i]))
            return true;
    return false;
}

int crilog_options_parse(struct crilog_options *out, struct str query, int64_t now_unix_us,
                         struct err *e)
{
    struct crilog_options o = {
        .tail_lines = -1, .limit_bytes = -1, .since_unix_us = INT64_MIN, .stream = CRILOG_BOTH
    };
    bool has_seconds = false, has_time = false;
    struct str name, value;

    for (struct str rest = query; url_query_next(&rest, &name, &value);) {
        auto_buf n = BUF(64), v = BUF(128); /* longer than any that we know */

        if (url_decode_query(&n, name) || !is_option(buf_str(&n)))
            continue;
        if (url_decode_query(&v, value))
            return err_set(e, ERR_INVALID, "the value of " STR_FMT " is malformed or too long",
                           STR_ARG(buf_str(&n)));
        if (option_set(&o, &has_seconds, &has_time, buf_str(&n), buf_str(&v), now_unix_us, e))
            return e->code;
    }
    if (has_seconds && has_time)
        return err_set(e, ERR_INVALID,
                       "at most one of `sinceTime` or `sinceSeconds` may be specified");
    if (o.tail_lines >= 0 && o.stream != CRILOG_BOTH)
        return err_set(e, ERR_INVALID,
                       "`tailLines` and specific `stream` are mutually exclusive for now");
    *out = o;
    return 0;
}

/* ---- lines ---- */

void crilog_init(struct crilog *l, const struct crilog_options *o)
{
    *l = (struct crilog){ .options = *o,
                          .left_bytes = o->limit_bytes < 0 ? INT64_MAX : o->limit_bytes };
}

void crilog_restart(struct crilog *l)
{
    l->state = CRILOG_HEAD;
    l->n_head = 0;
}

/* Adds what the limit leaves of it. */
static int put(struct crilog *l, struct buf *out, const char *p, size_t n)
{
    if ((int64_t)n >= l->left_bytes) {
        n = (size_t)l->left_bytes;
        l->is_full = true;
    }
    l->left_bytes -= (int64_t)n;
    return buf_add(out, p, n);
}

/* The time with nine digits of fraction, as kubelet prints it. */
static int put_time(struct crilog *l, struct buf *out, struct str time)
{
    char text[CRILOG_HEAD_MAX_BYTES + 16];
    const size_t n_seconds = sizeof "2016-10-06T00:17:09" - 1;
    size_t at = n_seconds, n_digits = 0, n = n_seconds;

    memcpy(text, time.p, n_seconds); /* time_parse saw it: it is longer */
    text[n++] = '.';
    if (time.p[at] == '.')
        for (at++; time.p[at] >= '0' && time.p[at] <= '9'; at++)
            if (n_digits++ < 9)
                text[n++] = time.p[at];
    while (n_digits++ < 9)
        text[n++] = '0';
    memcpy(text + n, time.p + at, time.n - at);
    n += time.n - at;
    text[n++] = ' ';
    return put(l, out, text, n);
}

/* The head is complete, ends behind its last space: decides what becomes of the text. */
static int begin_text(struct crilog *l, struct buf *out)
{
    struct str time, stream, tags, tag, rest;
    int64_t unix_us;

    str_cut(str_n(l->head, l->n_head - 1), ' ', &time, &rest);
    str_cut(rest, ' ', &stream, &tags);
    str_cut(tags, ':', &tag, &rest);
    l->state = CRILOG_SKIP;
    if (str_is(stream, "stdout"))
        l->stream = CRILOG_STDOUT;
    else if (str_is(stream, "stderr"))
        l->stream = CRILOG_STDERR;
    else
        return l->n_bad++, 0;
    if (!time_parse(&unix_us, time))
        return l->n_bad++, 0;
    l->is_partial = str_is(tag, "P");
    bool goes_on = l->in_line[l->stream];
    l->in_line[l->stream] = l->is_partial;
    if (unix_us < l->options.since_unix_us)
        return 0;
    if (l->options.stream != CRILOG_BOTH && l->options.stream != l->stream)
        return 0;
    l->state = CRILOG_TEXT;
    return l->options.timestamps && !goes_on ? put_time(l, out, time) : 0;
}

/* One byte more of the head. */
static int feed_head(struct crilog *l, char c, struct buf *out)
{
    unsigned n_spaces = 0;

    if (c == '\n') { /* it ended too early */
        l->n_bad += l->n_head > 0;
        l->n_head = 0;
        return 0;
    }
    l->head[l->n_head++] = c;
    if (c == ' ') {
        for (size_t i = 0; i < l->n_head; i++)
            n_spaces += l->head[i] == ' ';
        if (n_spaces == 3)
            return begin_text(l, out);
    }
    if (l->n_head == sizeof l->head) {
        l->n_bad++;
        l->state = CRILOG_SKIP;
    }
    return 0;
}

int crilog_feed(struct crilog *l, const char *p, size_t n, struct buf *out)
{
    const char *end = p + n;

    while (p < end && !l->is_full) {
        if (l->state == CRILOG_HEAD) {
            if (feed_head(l, *p++, out))
                return ERR_LIMIT;
            continue;
        }
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *next = eol ? eol + 1 : end;
        size_t n_text = (size_t)((eol && !l->is_partial ? next : eol ? eol : end) - p);

        if (l->state == CRILOG_TEXT && n_text && put(l, out, p, n_text))
            return ERR_LIMIT;
        p = next;
        if (eol)
            crilog_restart(l);
    }
    return 0;
}

bool crilog_tail_block(uint64_t *n_left, const char *p, size_t n, size_t *start)
{
    for (const char *eol; (eol = memrchr(p, '\n', n)); n = (size_t)(eol - p))
        if (--*n_left == 0) {
            *start = (size_t)(eol - p) + 1;
            return true;
        }
    return false;
}
