#pragma once
/*
 * Schema: what the API knows about its kinds, as plain tables.
 *
 * The built-in tables are compiled from server/schema/<group>.kube by tools/schemac; a
 * CustomResourceDefinition builds the same structs at run time and adds them with schema_add. From
 * these tables come decoding, defaults, validation, patches, Table output, field selectors,
 * discovery and OpenAPI.
 *
 * The tables are constant: any thread may read them. A struct schema (the set of kinds that is
 * served) belongs to one thread.
 */
#include "base/core/str.h"

#include <jansson.h>

enum schema_shape {
    SCHEMA_STRING,
    SCHEMA_BOOL,
    SCHEMA_INT32,
    SCHEMA_INT64,
    SCHEMA_NUMBER,
    SCHEMA_BYTES,     /* base64 (RFC 4648 4) in JSON */
    SCHEMA_TIME,      /* RFC 3339 in whole seconds, UTC */
    SCHEMA_MICROTIME, /* RFC 3339 with six digits */
    SCHEMA_DURATION,  /* "1m30s" */
    SCHEMA_QUANTITY,  /* base/kube/quantity.h */
    SCHEMA_INT_OR_STRING,
    SCHEMA_ANY,    /* any JSON value, kept as it is */
    SCHEMA_OBJECT, /* any JSON object (a raw extension, FieldsV1) */
    SCHEMA_LIST,
    SCHEMA_MAP, /* string keys */
    SCHEMA_STRUCT,
};

/* How a string must look beyond being one (validate.c has the rules and their sources). */
enum schema_format {
    SCHEMA_FMT_NONE,
    SCHEMA_FMT_LABEL,         /* RFC 1123 label */
    SCHEMA_FMT_LABEL35,       /* RFC 1035 label: starts with a letter */
    SCHEMA_FMT_SUBDOMAIN,     /* RFC 1123 subdomain */
    SCHEMA_FMT_PATH_SEGMENT,  /* a name that is one URL path segment */
    SCHEMA_FMT_QUALIFIED,     /* [prefix/]name, the form of label keys */
    SCHEMA_FMT_LABEL_VALUE,   /* the value of a label */
    SCHEMA_FMT_IP,            /* an IPv4 or IPv6 address */
    SCHEMA_FMT_CIDR,          /* address/prefix */
    SCHEMA_FMT_PORT,          /* 1..65535 (integers too) */
    SCHEMA_FMT_PORT_NAME,     /* IANA service name, RFC 6335 5.1 */
    SCHEMA_FMT_ENV_NAME,      /* environment variable name */
    SCHEMA_FMT_CONFIG_KEY,    /* key of a ConfigMap or Secret */
    SCHEMA_FMT_NON_NEGATIVE,  /* integers and quantities >= 0 */
    SCHEMA_FMT_POSITIVE,      /* integers > 0 */
    SCHEMA_FMT_ABSOLUTE_PATH, /* starts with '/' */
};

enum schema_list_type { SCHEMA_LIST_ATOMIC, SCHEMA_LIST_SET, SCHEMA_LIST_MAP };

enum schema_field_flag {
    SCHEMA_REQUIRED = 1,        /* always written, required in OpenAPI */
    SCHEMA_NONEMPTY = 2,        /* absent or empty is a "Required value" error */
    SCHEMA_POINTER = 4,         /* set-to-zero differs from absent */
    SCHEMA_IMMUTABLE = 8,       /* an update may not change it */
    SCHEMA_ATOMIC = 16,         /* a map or struct that apply owns as a whole */
    SCHEMA_PATCH_MERGE = 32,    /* strategic merge: lists merge (by merge_key, or as a set) */
    SCHEMA_PATCH_RETAIN = 64,   /* strategic merge: $retainKeys is understood */
    SCHEMA_PATCH_REPLACE = 128, /* strategic merge: replaced as a whole */
    SCHEMA_OPTIONAL = 256,      /* always written, but clients may leave it out (OpenAPI) */
};

struct schema_type;

struct schema_field {
    const char *name; /* JSON name; NULL for the item of a list or map */
    const struct schema_type *type;
    uint16_t flags;    /* enum schema_field_flag */
    uint8_t list_type; /* enum schema_list_type, for lists */
    uint8_t format;    /* enum schema_format, of the value or of a list's items */
    uint16_t number;   /* protobuf; 0: not on that wire */
    uint16_t text;     /* what OpenAPI says of it, see texts.h; 0: nothing */
    uint16_t embed[2]; /* numbers of the messages it lies in on the protobuf wire (Go embedding);
                          0: none */
    const char *merge_key;        /* strategic merge patch; NULL */
    const char *const *list_keys; /* keys of a list of SCHEMA_LIST_MAP, NULL-terminated; NULL */
    const char *deflt;            /* JSON text; NULL: no default */
    const char *const *variants;  /* allowed values for this field only, sorted, NULL-terminated */
};

struct schema_type {
    const char *name;          /* "PodSpec"; "" for an anonymous one */
    const char *group_version; /* where it is declared: "core/v1"; "" */
    enum schema_shape shape;
    const struct schema_field *item;   /* LIST, MAP: one element */
    const struct schema_field *fields; /* STRUCT: sorted by name */
    uint16_t n_fields;
    uint16_t n_by_number;
    uint16_t text;             /* like a field's */
    const uint16_t *by_number; /* STRUCT: the fields on the protobuf wire, in its order */
    const char *const
        *variants;         /* STRING: the allowed values, sorted, NULL-terminated; NULL: any */
    bool preserve_unknown; /* STRUCT: unknown fields are kept (CRDs) */
};

enum schema_verb {
    SCHEMA_CREATE = 1,
    SCHEMA_DELETE = 2,
    SCHEMA_DELETECOLLECTION = 4,
    SCHEMA_GET = 8,
    SCHEMA_LIST_VERB = 16,
    SCHEMA_PATCH = 32,
    SCHEMA_UPDATE = 64,
    SCHEMA_WATCH = 128,
};
/* "create", in the order of the bits; NULL past the end */
const char *schema_verb_name(unsigned bit_index);

struct schema_sub {
    const char *name;          /* "status" */
    const char *kind;          /* what travels: "Pod", "Eviction", "PodExecOptions" */
    const char *group_version; /* of that kind when it is another than the parent's; else NULL */
    unsigned verbs;
};

/* Where the scale subresource finds its numbers in the object: paths of json_at ("spec.replicas").
 */
struct schema_scale {
    const char *spec_path;     /* the number that is wanted */
    const char *status_path;   /* the number that is there */
    const char *selector_path; /* NULL: none. A label selector as text, as a LabelSelector or as a
                                  map of labels */
};
extern const struct schema_scale schema_scale_builtin; /* of every built-in kind with the
                                                          subresource */

struct schema_column {
    const char *name;        /* "Ready" */
    const char *type;        /* "string", "integer", "date", "boolean", "number" */
    const char *format;      /* "name" or "" */
    const char *description; /* may be "" */
    const char *source;      /* ".spec.nodeName" or "=function" (table.c) */
    int priority;            /* 0: always; 1: -o wide */
};

struct schema_kind;
struct crd_version;

/* A kind whose objects are stored in another version's form: changes documents in place. What only
 * the other form can say goes where that form's conversion upstream puts it. */
struct schema_convert {
    void (*from_stored)(const struct schema_kind *k, json_t *doc);
    void (*to_stored)(const struct schema_kind *k, json_t *doc);
};

struct schema_kind {
    const char *group;   /* "" for core */
    const char *version; /* "v1" */
    /* What an APIService says of them: higher ones come first in discovery. 0: a custom kind's. */
    uint16_t group_priority, version_priority;
    const char *kind, *plural, *singular;
    const char *const *short_names; /* NULL-terminated, never NULL; the same below */
    const char *const *categories;
    const char *const *selectable; /* field labels beside metadata.name and metadata.namespace */
    bool namespaced;
    bool create_on_update; /* PUT of an absent name creates it */
    bool generation;       /* metadata.generation counts changes of the spec */
    bool ephemeral;        /* may be lost within a minute (leases) */
    uint8_t name_format;   /* enum schema_format of metadata.name */
    unsigned verbs;        /* enum schema_verb */
    const struct schema_type *type;
    const struct schema_sub *subs;
    size_t n_subs;
    const struct schema_scale *scale; /* with the subresource scale; else NULL */
    const struct schema_column *columns;
    size_t n_columns;
    const char *storage_group;   /* store key "/registry/<group>/<plural>/": kinds of several groups
                                    or   versions that name the same one share their objects */
    const char *storage_version; /* "v1": the version the stored bytes are in */
    const struct schema_convert *convert; /* NULL: what is stored is in its own form */
    const char *inert;      /* why nothing acts on its objects yet; NULL: something does */
    const char *deprecated; /* what who uses it is warned of; NULL: nothing */
    const struct crd_version *custom; /* crd.h: what a definition says beyond the tables; NULL: a
                                         built-in kind */
};

/* ---- the kinds that are served ---- */
struct schema;

struct schema *schema_new(void); /* with every built-in kind */
void schema_free(struct schema *s);
/* Grows with every change: a cache made from the schema compares it. */
uint64_t schema_generation(const struct schema *s);
/* k must outlive its place in the schema. False: group, version and plural (or kind) are taken. */
MUST_USE bool schema_add(struct schema *s, const struct schema_kind *k);
void schema_remove(struct schema *s, const struct schema_kind *k);

/* NULL when unknown. group "" is core. */
const struct schema_kind *schema_find(const struct schema *s, struct str group, struct str version,
                                      struct str plural);
const struct schema_kind *schema_find_kind(const struct schema *s, struct str group,
                                           struct str version, struct str kind);
/* "v1" or "apps/v1". */
const struct schema_kind *schema_find_api(const struct schema *s, const char *api_version,
                                          const char *kind);
bool schema_has_version(const struct schema *s, struct str group, struct str version);
/* One of the tables', not a custom kind. */
bool schema_is_builtin(const struct schema_kind *k);
/* NULL when k has no such subresource. */
const struct schema_sub *schema_find_sub(const struct schema_kind *k, struct str name);
/* All kinds. Groups by their priority, then by name; in one, versions by theirs, then as
 * schema_version_order has them; in these, plurals by name. */
const struct schema_kind *const *schema_kinds(const struct schema *s, size_t *n);

/* < 0: version a is preferred to b. v2, v1, v1beta2, v1alpha1, then other words by the alphabet
 * (apimachinery pkg/version CompareKubeAwareVersionStrings). */
int schema_version_order(const char *a, const char *b);

/* "v1" or "apps/v1". out holds SCHEMA_API_VERSION_MAX bytes; returns out. */
#define SCHEMA_API_VERSION_MAX 320
const char *schema_api_version(const struct schema_kind *k, char *out);
/* The same of the form that k's objects are stored in. */
const char *schema_stored_version(const struct schema_kind *k, char *out);
/* The built-in kind in whose form the objects of k, a built-in kind too, are stored; else k. */
const struct schema_kind *schema_stored_kind(const struct schema_kind *k);

/* ---- walking ---- */
/* NULL when t is no struct or has no such field. */
const struct schema_field *schema_field(const struct schema_type *t, const char *name);
/* Types that are no kind's own, from the built-in tables: ("meta/v1", "DeleteOptions"). */
const struct schema_type *schema_builtin_type(const char *group_version, const char *name);

DEFINE_AUTO(schema);
