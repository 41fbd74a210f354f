/* Any bytes as an object in the Kubernetes protobuf encoding, the first byte picks the kind. What
 * reads and decodes can be written, and what that reads as is written in the same bytes. */
#include "server/api/proto.h"
#include "server/schema/decode.h"

#include <stdlib.h>

static bool decode(const struct schema_kind *k, json_t *doc)
{
    auto_decode_notes notes = { 0 };
    struct err e;

    return decode_object(k, doc, (struct str){ 0 }, DECODE_IGNORE, &notes, &e) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct schema *s;
    json_auto_t *doc = NULL, *back = NULL;
    auto_buf b = BUF(64 * 1024 * 1024), again = BUF(64 * 1024 * 1024);
    struct err e;
    size_t n_kinds;

    if (!s)
        s = schema_new();
    if (!n)
        return 0;
    const struct schema_kind *const *kinds = schema_kinds(s, &n_kinds);
    const struct schema_kind *k = kinds[data[0] % n_kinds];
    if (proto_read(&doc, k->type, str_n(data + 1, n - 1), &e))
        return 0;
    if (!json_is_object(doc))
        abort();
    if (!decode(k, doc))
        return 0;
    if (proto_write(&b, k->type, doc, &e) || proto_read(&back, k->type, buf_str(&b), &e) ||
        !decode(k, back) || proto_write(&again, k->type, back, &e) ||
        !str_eq(buf_str(&b), buf_str(&again)))
        abort();
    return 0;
}
