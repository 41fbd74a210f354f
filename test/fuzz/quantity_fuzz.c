/* Quantities: the canonical text is a fixed point. */
#include "base/kube/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct quantity q, again;
    char text[QUANTITY_TEXT_MAX], second[QUANTITY_TEXT_MAX];
    struct err e;

    if (quantity_parse(&q, str_n(data, n), &e))
        return 0;
    quantity_print(text, &q);
    if (quantity_parse(&again, str_of(text), &e))
        __builtin_trap();
    quantity_print(second, &again);
    if (strcmp(text, second) != 0)
        __builtin_trap();
    return 0;
}
