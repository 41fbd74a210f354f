#pragma once
/*
 * CEL type: what an expression can be, and how a JSON value is to be read. Types are immutable and
 * compared by what they say, not by address. Whoever declares variables builds theirs.
 */
#include "base/core/arena.h"
#include "base/core/buf.h"

#include <jansson.h>

enum cel_kind {
    CEL_ERROR, /* of a value: an error; of a type: one that was told already */
    CEL_DYN,   /* known when it runs */
    CEL_NULL,
    CEL_BOOL,
    CEL_INT,
    CEL_UINT,
    CEL_DOUBLE,
    CEL_STRING,
    CEL_BYTES,
    CEL_TIMESTAMP,
    CEL_DURATION,
    CEL_LIST,
    CEL_MAP,
    CEL_OBJECT, /* fields of a declared type */
    CEL_OPTIONAL,
    CEL_TYPE,
    CEL_QUANTITY,
    CEL_IP,
    CEL_CIDR,
    CEL_URL,
    CEL_FORMAT,  /* kubernetes.NamedFormat */
    CEL_UNKNOWN, /* JSON without a type: it can be compared, no more */
    CEL_PARAM,   /* a type to be found, inside the checker */
};

enum cel_text { /* how JSON writes a value that is no plain text */
                CEL_TEXT_PLAIN,
                CEL_TEXT_DATE,
                CEL_TEXT_DATE_TIME,
                CEL_TEXT_DURATION,
                CEL_TEXT_BASE64,
};

enum cel_list { CEL_LIST_PLAIN, CEL_LIST_SET, CEL_LIST_BY_KEY };

#define CEL_UNBOUNDED UINT64_MAX

struct cel_type;
struct cel_field {
    const char *name; /* as expressions write it */
    const char *key;  /* in JSON */
    const struct cel_type *type;
};

struct cel_type {
    enum cel_kind kind;
    enum cel_text text;
    enum cel_list list;                /* how lists are compared and added */
    bool nullable;                     /* JSON null is a value of it */
    bool int_or_string;                /* with CEL_DYN */
    const char *name;                  /* of an object; NULL */
    const struct cel_type *key, *elem; /* of a map; of lists, maps, optionals, types */
    const struct cel_field *fields;    /* sorted by name */
    size_t n_fields;
    const json_t *list_keys; /* of CEL_LIST_BY_KEY: JSON fields */
    unsigned param;          /* of CEL_PARAM: which */
    uint64_t max_elements;   /* items, entries, code points at most; CEL_UNBOUNDED */
    uint64_t min_bytes;      /* the least that it takes in JSON */
};

extern const struct cel_type cel_types[CEL_PARAM + 1]; /* the plain one of each kind; lists, maps,
                                                          optionals and types of dyn */

/* arena: without bounds. */
const struct cel_type *cel_type_of(struct arena *a, enum cel_kind kind, const struct cel_type *key,
                                   const struct cel_type *elem);
const struct cel_field *cel_type_field(const struct cel_type *t, struct str name); /* NULL */
/* "list(int)", as cel-go writes it in errors. ERR_LIMIT. */
MUST_USE int cel_type_print(struct buf *b, const struct cel_type *t);
/* "int", "null_type", "google.protobuf.Timestamp": what type() shows. */
const char *cel_kind_name(enum cel_kind k);
/* CEL_PARAM: no type has that name. */
enum cel_kind cel_kind_named(struct str name);
