#pragma once
/* Json_text: tables of tests write JSON with ' for ", which saves a backslash each. Include after
 * cmocka.h. */
#include "base/core/mem.h"

#include <jansson.h>

static inline char *real_quotes(const char *text) /* a heap copy, the caller's */
{
    char *copy = mem_strdup(text);

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    return copy;
}

/* Ends the test when text is no JSON. The caller's. */
static inline json_t *json_of(const char *text)
{
    auto_free char *copy = real_quotes(text);
    json_t *j = json_loads(copy, JSON_DECODE_ANY, NULL);

    if (!j)
        fail_msg("bad row: %s", text);
    return j;
}
