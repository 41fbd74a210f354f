/* Answers of the container runtime: the first byte is the kind, the rest one protobuf message. */
#include "agent/cri/answer.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct answer a;
    struct err e;

    if (n &&
        !answer_read(&a, (enum answer_kind)(data[0] % ANSWER_KINDS_N), str_n(data + 1, n - 1), &e))
        answer_deinit(&a);
    return 0;
}
