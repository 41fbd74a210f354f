/* Errors as cel-go shows them (common/error.go): the place, the sentence, the line and a mark. */
#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/data/regex_parse.h"
#include "server/cel/ast.h"

void cel_errors_add(struct cel_errors *es, uint32_t pos, const char *fmt, ...)
{
    va_list ap;

    if (es->n == ARRAY_LEN(es->v))
        return;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    size_t at = es->n++;
    for (; at && es->v[at - 1].pos > pos; at--)
        es->v[at] = es->v[at - 1];
    es->v[at].pos = pos;
    es->v[at].text = text;
}

#define LINE_MAX_BYTES 4096 /* of a longer one nothing is shown */

static int add_error(struct buf *b, struct str source, uint32_t pos, const char *text)
{
    const char *all = source.p ? source.p : "", *end = all + source.n;
    const char *at = all + MIN((size_t)pos, source.n), *from = at, *to = at, *c;
    size_t line = 1, column = 1;

    for (c = all; c < at; c++)
        line += *c == '\n';
    while (from > all && from[-1] != '\n')
        from--;
    while (to < end && *to != '\n')
        to++;
    for (c = from; c < at; column++)
        regex_rune(&c, end);
    int rc = buf_addf(b, "%sERROR: <input>:%zu:%zu: %s", b->n ? "\n" : "", line, column, text);
    if (to - from > LINE_MAX_BYTES)
        return rc;
    rc = rc ? rc : buf_adds(b, "\n | ");
    for (c = from; !rc && c < to; c++)
        rc = buf_addc(b, *c == '\t' ? ' ' : *c);
    rc = rc ? rc : buf_adds(b, "\n | ");
    for (c = from; !rc && c < at;) {
        const char *was = c;
        regex_rune(&c, end);
        rc = buf_adds(b, c - was > 1 ? "\xef\xbc\x8e" : ".");
    }
    return rc ? rc : buf_adds(b, at < to && (unsigned char)*at >= 0x80 ? "\xef\xbc\xbe" : "^");
}

char *cel_errors_take(struct cel_errors *es)
{
    auto_buf b = BUF(256 * 1024);

    for (size_t i = 0; i < es->n; i++) {
        err_ignore(add_error(&b, es->source, es->v[i].pos, es->v[i].text)); /* cut, then */
        free(es->v[i].text);
    }
    es->n = 0;
    return b.p ? buf_take(&b) : mem_strdup("");
}
