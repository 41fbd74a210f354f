#include "server/schema/texts.h"

#include "base/core/mem.h"
#include "base/data/gzip.h"
#include "server/schema/tables.h"

#include <assert.h>

struct texts {
    struct buf all;    /* one after the other, each with its zero */
    uint32_t begins[]; /* by number, less one */
};

struct texts *texts_new(void)
{
    struct texts *t = mem_alloc(sizeof *t + schema_n_texts * sizeof t->begins[0]);
    struct err e = { 0 };
    size_t at = 0;

    t->all = BUF(schema_texts_bytes + 1);
    int rc = buf_reserve(&t->all, schema_texts_bytes);
    assert(!rc);
    rc = gzip_unpack(str_n((const char *)schema_texts_packed, schema_texts_packed_bytes), &t->all,
                     &e);
    assert(!rc && t->all.n == schema_texts_bytes); /* they are a part of the program */
    (void)rc;
    for (size_t i = 0; i < schema_n_texts; i++) {
        t->begins[i] = (uint32_t)at;
        at += strlen(t->all.p + at) + 1;
    }
    return t;
}

void texts_free(struct texts *t)
{
    if (!t)
        return;
    buf_deinit(&t->all);
    free(t);
}

const char *texts_get(const struct texts *t, unsigned number)
{
    assert(number <= schema_n_texts);
    return number ? t->all.p + t->begins[number - 1] : NULL;
}
