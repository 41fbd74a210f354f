#pragma once
/*
 * Encode: stored objects into answers, without parsing them where possible.
 *
 * A stored value always begins {"kind":"K","apiVersion":"V","metadata":{ followed by at least one
 * member, and holds no resourceVersion: the version is spliced in right behind that brace, and the
 * front is written anew (so one stored object may be served by several groups). In a list upstream
 * leaves kind and apiVersion out of the items; so do we. Answers in protobuf are made from the
 * parsed value, and so are those of a kind with a form of its own (schema_convert). Sans-I/O. Any
 * thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "server/api/accept.h"
#include "server/schema/table.h"

#include <jansson.h>

struct encode_form {
    const struct schema_kind *kind;
    enum accept_as as;
    enum table_include include; /* tables: what each row carries */
    bool beta;                  /* tables and partial objects: of meta.k8s.io/v1beta1 */
    bool proto;                 /* as proto.h writes it; never for a table */
    size_t items_bytes; /* of a list in protobuf: what encode_list_item adds for all its items */
};

/* A document as it is stored. Heap, yours. metadata must have a member. */
char *encode_stored(const struct schema_kind *k, const json_t *obj);
/* A stored value as a document with its resourceVersion. ERR_IO: the value is not one of ours. */
MUST_USE int encode_parse(json_t **out, const struct schema_kind *k, struct str value, int64_t rev,
                          struct err *e);

/* rev 0: it is not stored (a dry run) and has no version.
 * All append to b. ERR_LIMIT, and ERR_IO for a damaged value. */
/* A document that is no stored object: a Status, one of f->kind, or what a subresource answers. */
MUST_USE int encode_doc(struct buf *b, const struct encode_form *f, const json_t *doc,
                        struct err *e);
MUST_USE int encode_object(struct buf *b, const struct encode_form *f, struct str value,
                           int64_t rev, struct err *e);
/* rev may be 0, continue_ "" and n_remaining below 0: absent; what is not stored has none of them.
 */
MUST_USE int encode_list_head(struct buf *b, const struct encode_form *f, int64_t rev,
                              const char *continue_, int64_t n_remaining, struct err *e);
MUST_USE int encode_list_item(struct buf *b, const struct encode_form *f, struct str value,
                              int64_t rev, bool first, struct err *e);
MUST_USE int encode_list_tail(struct buf *b, const struct encode_form *f, struct err *e);
/* One line of a watch, or one frame. with_columns: the first event of a table watch. */
MUST_USE int encode_event(struct buf *b, const struct encode_form *f, const char *type,
                          struct str value, int64_t rev, bool with_columns, struct err *e);
MUST_USE int encode_bookmark(struct buf *b, const struct encode_form *f, int64_t rev,
                             bool initial_end, struct err *e);
MUST_USE int encode_error_event(struct buf *b, const struct encode_form *f, const json_t *status,
                                struct err *e);
