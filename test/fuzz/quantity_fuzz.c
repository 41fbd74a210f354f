/* Quantities: the canonical text means the same amount. */
#include "base/kube/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct quantity first, q;
    char text[QUANTITY_TEXT_MAX];
    struct err e;

    if (quantity_parse(&first, str_n(data, n), &e))
        return 0;
    quantity_print(text, &first);
    if (quantity_parse(&q, str_of(text), &e))
        __builtin_trap();
    /* a binary amount that is no multiple of 1024 reads as a decimal one: the value stays */
    if (quantity_value(&q) != quantity_value(&first))
        __builtin_trap();
    return 0;
}
