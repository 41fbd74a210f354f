#pragma once
/*
 * Warn: what a client that writes an object should know of it although it is accepted: fields
 * without effect, deprecated ones, and what takes people by surprise. Upstream's strategies
 * (WarningsOnCreate and WarningsOnUpdate; pkg/api/{pod,service,job,persistentvolume,
 * persistentvolumeclaim,node}), release 1.32, in its words: one Warning header each. Any thread.
 */
#include "server/schema/decode.h"
#include "server/schema/field_error.h"

/* old NULL: a create; else an update of the whole object, not of a subresource. */
void warn_object(const struct schema_kind *k, const json_t *obj, const json_t *old,
                 struct decode_notes *notes);

/* ---- for warn.c and pod_warnings.c ---- */

/* "<p>: <text>" */
void warn_at(struct decode_notes *notes, const struct field_path *p, const char *fmt, ...)
    PRINTF_FMT(3, 4);
/* Why nobody should use this label of nodes any longer; NULL: it is as good as any. */
const char *warn_node_label(const char *label);
/* A term of a node selector. */
void warn_node_term(struct decode_notes *notes, const struct field_path *p, const json_t *term);
/* The amount of bytes at key of v, when it has a fraction. p is v's path. */
void warn_fraction(struct decode_notes *notes, const struct field_path *p, const json_t *v,
                   const char *key);
/* A claim's spec at p. */
void warn_claim_spec(struct decode_notes *notes, const struct field_path *p, const json_t *spec);
/* Why no volume should be of this kind, the key of its source; *shown is its name in a path. NULL:
 * it is as good as any. */
const char *warn_volume_source(const char *key, const char **shown);
