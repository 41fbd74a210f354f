#include "base/kube/watch_reader.h"

#include "base/data/json.h"

#include <string.h>

void watch_reader_init(struct watch_reader *r, size_t line_max_bytes)
{
    *r = (struct watch_reader){ .line =
                                    BUF(line_max_bytes ? line_max_bytes : WATCH_LINE_MAX_BYTES) };
}

void watch_reader_deinit(struct watch_reader *r)
{
    buf_deinit(&r->line);
}

/* *known is false for a type that we do not know: newer servers may have more. */
static int parse_event(struct str line, bool *known, enum kube_event_type *type, json_t **object,
                       struct err *e)
{
    static const char *const names[] = {
        [KUBE_ADDED] = "ADDED",
        [KUBE_MODIFIED] = "MODIFIED",
        [KUBE_DELETED] = "DELETED",
        [KUBE_BOOKMARK] = "BOOKMARK",
    };
    json_auto_t *event = NULL;
    json_t *o;
    const char *name;

    if (json_parse(&event, line, e)) {
        e->code = e->code == ERR_LIMIT ? ERR_LIMIT : ERR_PROTOCOL;
        return err_wrap(e, "watch event");
    }
    name = json_string_value(json_object_get(event, "type"));
    o = json_object_get(event, "object");
    if (!name || !json_is_object(o))
        return err_set(e, ERR_PROTOCOL, "watch event without type or object");
    if (strcmp(name, "ERROR") == 0)
        return kube_status_object_err(e, o);
    *known = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *known = true;
            *type = (enum kube_event_type)i;
            *object = json_incref(o);
        }
    }
    return 0;
}

int watch_reader_read(struct watch_reader *r, struct str *in, enum kube_event_type *type,
                      json_t **object, struct err *e)
{
    *object = NULL;
    while (in->n > 0) {
        const char *lf = memchr(in->p, '\n', in->n);
        size_t n = lf ? (size_t)(lf - in->p) : in->n;
        struct str line = str_n(in->p, n);
        bool known = false;
        int code = 0;

        if (!lf || r->line.n > 0) { /* a line in one piece is not copied */
            if (buf_add(&r->line, in->p, n))
                return err_set(e, ERR_LIMIT, "watch event of more than %zu bytes", r->line.max);
            line = buf_str(&r->line);
        } else if (n > r->line.max) {
            return err_set(e, ERR_LIMIT, "watch event of more than %zu bytes", r->line.max);
        }
        *in = str_n(in->p + n + (lf != NULL), in->n - n - (lf != NULL));
        if (!lf)
            return 0;
        if (str_trim(line).n > 0)
            code = parse_event(line, &known, type, object, e);
        if (r->line.cap > 64 * 1024)
            buf_deinit(&r->line); /* a rare big line must not stay in memory */
        buf_clear(&r->line);
        if (code || known)
            return code;
    }
    return 0;
}

int watch_reader_finish(const struct watch_reader *r, struct err *e)
{
    if (str_trim(buf_str(&r->line)).n > 0)
        return err_set(e, ERR_PROTOCOL, "the watch ended in the middle of an event");
    return 0;
}
