#include "base/data/protobuf.h"

static void *pb_alloc(void *arena, size_t n)
{
    return arena_calloc(arena, 1, n);
}

static void pb_free(void *arena, void *p)
{
    (void)arena; /* it ends all at once */
    (void)p;
}

void *protobuf_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, struct str bytes,
                      struct err *e)
{
    ProtobufCAllocator from = { .alloc = pb_alloc, .free = pb_free, .allocator_data = a };
    ProtobufCMessage *m =
        protobuf_c_message_unpack(d, &from, bytes.n, (const uint8_t *)(bytes.p ? bytes.p : ""));

    if (!m)
        err_set(e, ERR_PROTOCOL, "the answer is no %s", d->name);
    return m;
}

int protobuf_pack(struct buf *out, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);

    if (buf_reserve(out, n ? n : 1))
        return ERR_LIMIT;
    protobuf_c_message_pack(m, (uint8_t *)out->p + out->n);
    out->n += n;
    return 0;
}
