#pragma once
/*
 * CEL value: plain data, copied at will. Texts, lists and maps are views of JSON, of a program or
 * of an evaluation's arena.
 */
#include "base/core/arena.h"
#include "base/data/cidr.h"
#include "base/kube/quantity.h"
#include "server/cel/type.h"

struct cel_value;

struct cel_items {             /* of a list; keys and values in turn, of a map */
    const struct cel_value *v; /* NULL: json's */
    size_t n;                  /* items, or entries */
    const json_t *json;
    const struct cel_type *type; /* of json */
};

struct cel_moment { /* a timestamp: since 1970 */
    int64_t s;
    int32_t ns;
};

struct cel_net {
    struct cidr cidr;
    unsigned char ip[16]; /* with its host bits */
};

struct cel_url {
    struct str scheme, host, path, query; /* host with its port; path as it was written */
};

struct cel_value {
    enum cel_kind kind;
    union {
        bool b;
        int64_t i; /* also CEL_DURATION, in ns */
        uint64_t u;
        double d;
        struct str s; /* CEL_STRING, CEL_BYTES; the text of CEL_ERROR */
        struct cel_moment t;
        struct cel_items items;     /* CEL_LIST, CEL_MAP, CEL_OBJECT; CEL_UNKNOWN: its json */
        const struct cel_value *of; /* CEL_OPTIONAL; NULL: none */
        enum cel_kind type;         /* CEL_TYPE */
        const struct quantity *quantity;
        const struct cel_net *net;
        const struct cel_url *url;
        int format; /* which, of server/cel/lib_format.c */
    };
};

#define CEL_BOOL_OF(x) ((struct cel_value){ .kind = CEL_BOOL, .b = (x) })
#define CEL_INT_OF(x)  ((struct cel_value){ .kind = CEL_INT, .i = (x) })
#define CEL_STR_OF(x)  ((struct cel_value){ .kind = CEL_STRING, .s = (x) })
#define CEL_NULL_VALUE ((struct cel_value){ .kind = CEL_NULL })

/* json as t says; a CEL_ERROR if it is not so. Base64 is decoded into a. Borrows json. */
struct cel_value cel_value_of_json(const json_t *json, const struct cel_type *t, struct arena *a);

/* What an evaluation is in: memory and what it has cost. */
struct cel_run {
    struct arena *a;
    uint64_t cost, cost_max;
    uint64_t work;        /* bytes looked at beside the cost: what is free in cel-go is not here */
    uint64_t regex_steps; /* left */
    bool over;            /* too costly, or out of memory */
};
#define CEL_WORK_MAX 300000000

/* Memory of the run; NULL: there is none left (the run is over then). */
void *cel_run_alloc(struct cel_run *r, size_t n, size_t size_bytes);
void cel_run_work(struct cel_run *r, uint64_t bytes);
struct cel_value cel_error(struct cel_run *r, const char *fmt, ...) PRINTF_FMT(2, 3);
struct cel_value cel_no_overload(void);
/* n bytes of s, copied. */
struct cel_value cel_str_copy(struct cel_run *r, enum cel_kind kind, struct str s);

/* Lists: the i-th, i < items.n. Maps: its i-th key and value. */
struct cel_value cel_item(struct cel_run *r, const struct cel_value *list, size_t i);
void cel_entry(struct cel_run *r, const struct cel_value *map, size_t i, struct cel_value *key,
               struct cel_value *value);
/* Of maps and objects. False: there is none. What an object has as null, it does not have. */
bool cel_lookup(struct cel_run *r, const struct cel_value *map, const struct cel_value *key,
                struct cel_value *out);
/* The same with the name of a field. */
bool cel_lookup_name(struct cel_run *r, const struct cel_value *map, struct str name,
                     struct cel_value *out);

/* 1, 0, or -1: one of them is or holds an error, which *why is then. */
int cel_equal(struct cel_run *r, const struct cel_value *a, const struct cel_value *b,
              struct cel_value *why);
/* <0, 0, >0 in *out. False: they have no order (NaN has none, *nan is set). */
bool cel_compare(const struct cel_value *a, const struct cel_value *b, int *out, bool *nan);
/* As size() tells it; 1 for what has no size (cel-go's actualSize). */
uint64_t cel_size(const struct cel_value *v);
int64_t cel_runes(struct str s);
