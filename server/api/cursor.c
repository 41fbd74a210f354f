#include "server/api/cursor.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"

/* base64 in its URL-safe alphabet, unpadded, is the standard one with two letters changed */
static void swap(char *p, size_t n, const char from[2], const char to[2])
{
    for (size_t i = 0; i < n; i++)
        p[i] = p[i] == from[0] ? to[0] : p[i] == from[1] ? to[1] : p[i];
}

char *cursor_text(int64_t rev, struct str after)
{
    json_auto_t *j = json_object();
    auto_buf b64 = BUF(4 * CURSOR_MAX_BYTES);

    json_object_set_new(j, "v", json_string("meta.k8s.io/v1"));
    json_object_set_new(j, "rv", json_integer(rev));
    json_object_set_new(j, "start", json_str_of(after));
    auto_free char *text = json_text(j);
    if (base64_add_unpadded(&b64, str_of(text)))
        return mem_strdup(""); /* keys are far shorter than this bound */
    swap(b64.p, b64.n, "+/", "-_");
    return buf_take(&b64);
}

/* apiserver/pkg/storage/continue.go */
int cursor_parse(const char *text, struct str prefix, int64_t *rev, struct buf *key, struct err *e)
{
    auto_free char *b64 = mem_strdup(text);
    auto_buf raw = BUF(CURSOR_MAX_BYTES);
    json_auto_t *j = NULL;
    const char *start, *v;
    int64_t at;
    struct err why;

    swap(b64, strlen(b64), "-_", "+/");
    if (base64_decode(&raw, str_of(b64), false) || json_parse(&j, buf_str(&raw), &why) ||
        !json_is_object(j))
        return err_set(e, ERR_INVALID, "continue key is not valid");
    v = json_str_at(j, "v", "");
    if (strcmp(v, "meta.k8s.io/v1") != 0)
        return err_set(e, ERR_INVALID,
                       "continue key is not valid: server does not recognize this encoded version "
                       "%.64s",
                       v);
    at = json_i64_at(j, "rv", 0);
    if (at <= 0 && at != -1)
        return err_set(
            e, ERR_INVALID,
            "continue key is not valid: incorrect encoded start resourceVersion (version "
            "meta.k8s.io/v1)");
    start = json_str_at(j, "start", "");
    if (!*start)
        return err_set(e, ERR_INVALID,
                       "continue key is not valid: encoded start key empty (version "
                       "meta.k8s.io/v1)");
    if (!str_starts(str_of(start), prefix)) /* it must not reach into another resource */
        return err_set(e, ERR_INVALID, "continue key is not valid: %.128s", start);
    if (buf_adds(key, start))
        return err_set(e, ERR_INVALID, "continue key is too long");
    *rev = at;
    return 0;
}
