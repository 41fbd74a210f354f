/* Any bytes as a Pod in the Kubernetes protobuf encoding: what reads is an object. */
#include "server/api/proto_body.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_t *doc = NULL;
    struct err e;

    if (proto_body_parse(&doc, schema_builtin_type("core/v1", "Pod"), str_n(data, n), &e))
        return 0;
    if (!json_is_object(doc))
        abort();
    json_decref(doc);
    return 0;
}
