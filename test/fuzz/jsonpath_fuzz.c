/* A path, up to the first newline, and a document that it is followed in. */
#include "base/data/json.h"
#include "base/data/jsonpath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO(jsonpath) struct jsonpath *p = NULL;
    json_auto_t *doc = NULL;
    struct str path, text;
    struct err e;

    str_cut(str_n(data, n), '\n', &path, &text);
    if (jsonpath_new(&p, path, &e) || json_parse(&doc, text, &e))
        return 0;
    const json_t *v = jsonpath_first(p, doc);
    return v && json_typeof(v) > JSON_NULL; /* what is found is a value of the document */
}
