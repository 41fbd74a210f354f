#pragma once
/*
 * Proto: objects in the Kubernetes protobuf encoding, read into JSON and written from it.
 *
 * A body is "k8s\0" and a runtime.Unknown {1: TypeMeta {1: apiVersion, 2: kind}, 2: the object's
 * bytes, 3: content encoding, 4: content type} (apimachinery/pkg/runtime/serializer/protobuf). The
 * numbers of an object's fields come from the schema. Reading skips what it does not know, as
 * protobuf wants it. Writing gives the bytes that upstream's generated code gives: fields by
 * number, and every one that is no pointer in Go is there, be it empty or zero. Sans-I/O, bounded,
 * any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "server/schema/schema.h"

#include <jansson.h>

#define PROTO_DEPTH_MAX 100
#define PROTO_NODES_MAX                                                                            \
    500000 /* JSON values made of one body: they need more memory than bytes                       \
            */

/* t: the type that the body must hold. apiVersion and kind are set from the envelope. ERR_INVALID,
 * ERR_LIMIT. */
MUST_USE int proto_read(json_t **out, const struct schema_type *t, struct str body, struct err *e);

/* ---- writing, at the end of b. v is decoded. ERR_LIMIT; ERR_IO: v is not of the type ---- */

/* A whole body; apiVersion and kind are v's own. */
MUST_USE int proto_write(struct buf *b, const struct schema_type *t, const json_t *v,
                         struct err *e);

/* A list in parts, for the length of the whole stands before its items: the bytes of all items
 * together (each as proto_write_item adds it), then the head, the items, the tail. */
struct proto_list {
    const char *api_version, *kind; /* "v1", "PodList" */
    const json_t *meta;             /* a ListMeta */
    size_t items_bytes;
};
MUST_USE int proto_write_list_head(struct buf *b, const struct proto_list *l, struct err *e);
MUST_USE int proto_write_item(struct buf *b, const struct schema_type *t, const json_t *v,
                              struct err *e);
MUST_USE int proto_write_list_tail(struct buf *b, struct err *e);

/* One event of a watch: four bytes of length, then a WatchEvent {1: type, 2: raw extension {1: a
 * whole body}} (serializer/protobuf, LengthDelimitedFramer). */
MUST_USE int proto_write_event(struct buf *b, const char *type, const struct schema_type *t,
                               const json_t *v, struct err *e);
