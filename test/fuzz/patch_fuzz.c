/* Patches of three kinds: "<document>\n<patch>". */
#include "base/data/json.h"
#include "base/kube/patch.h"
#include "server/schema/strategic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str doc_text, patch_text;
    json_auto_t *doc = NULL, *patch = NULL, *a = NULL, *b = NULL, *c = NULL;
    struct err e;

    str_cut(str_n(data, n), '\n', &doc_text, &patch_text);
    if (json_parse(&doc, doc_text, &e) || json_parse(&patch, patch_text, &e))
        return 0;
    json_auto_t *before = json_deep_copy(doc);
    err_ignore(patch_json(&a, doc, patch, &e)); /* refusing is fine, crashing is not */
    err_ignore(patch_merge(&b, doc, patch, &e));
    err_ignore(strategic_apply(&c, schema_builtin_type("core/v1", "Pod"), doc, patch, &e));
    if (!json_equal(doc, before))
        __builtin_trap();
    return 0;
}
