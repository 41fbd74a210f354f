/* Label and field selectors: what parses prints a text that parses, and matching holds. */
#include "base/core/mem.h"
#include "base/kube/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO(label_selector) struct label_selector *s = NULL, *again = NULL;
    AUTO(field_selector) struct field_selector *f = NULL;
    struct err e;
    static json_t *labels;

    if (!labels)
        labels = json_pack("{s:s, s:s}", "a", "b", "c", "7");
    if (label_selector_parse(&s, str_n(data, n), &e) == 0) {
        auto_free char *text = label_selector_text(s);
        if (label_selector_parse(&again, str_of(text), &e) ||
            label_selector_match(s, labels) != label_selector_match(again, labels))
            __builtin_trap();
    }
    err_ignore(field_selector_parse(&f, str_n(data, n), &e)); /* it must come back, no more */
    return 0;
}
