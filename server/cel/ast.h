#pragma once
/*
 * CEL ast: an expression as a tree in the program's arena; for server/cel only. Macros are nodes of
 * their own, not spelled out as comprehensions: checker, evaluator and cost know what each means.
 */
#include "base/data/regex.h"
#include "server/cel/cel.h"

enum cel_op {
    OP_LIT,
    OP_IDENT,
    OP_SELECT, /* args[0].name */
    OP_CALL,   /* operators too, by cel-go's names: "_+_" */
    OP_AND,    /* two and more */
    OP_OR,
    OP_COND,
    OP_LIST,
    OP_MAP,  /* keys and values in turn */
    OP_FOLD, /* args: range, then one or two; name: the variable */
};

enum cel_macro {
    FOLD_ALL,
    FOLD_EXISTS,
    FOLD_EXISTS_ONE,
    FOLD_FILTER,
    FOLD_MAP,     /* args[1]: the filter or NULL; args[2]: what becomes of an item */
    FOLD_OPT_MAP, /* over an optional */
    FOLD_OPT_FLAT_MAP,
};

struct cel_node {
    uint8_t op;
    uint8_t macro;
    bool member;    /* a call: args[0] stands before the dot */
    bool test;      /* a select: has() */
    bool optional;  /* a select: ?.name */
    bool local;     /* an ident: slot is of a macro's variable */
    uint16_t depth; /* of the tree below, this one counted */
    uint32_t pos;   /* byte of the source */
    uint32_t id;
    uint32_t n;    /* args */
    uint32_t slot; /* of an ident; of a fold: its variable's */
    struct cel_node **args;
    union {
        struct str name;
        const struct cel_value *lit;
        const uint32_t *ops; /* OP_AND, OP_OR: where the operator before args[i] stands */
        const bool *marked;  /* OP_LIST, OP_MAP: which were written with '?'; NULL: none */
    };
    const struct cel_fn *fn; /* a call: the first of its overloads, which are n_fn */
    uint32_t n_fn;
    struct regex *regex; /* a call with a constant pattern */
};

/* Errors with their places, in cel-go's form. */
struct cel_errors {
    struct str source;
    struct {
        uint32_t pos;
        char *text;
    } v[16];
    size_t n;
};
void cel_errors_add(struct cel_errors *es, uint32_t pos, const char *fmt, ...) PRINTF_FMT(3, 4);
char *cel_errors_take(struct cel_errors *es); /* heap; es is empty afterwards */

/* NULL: es says why. *n_nodes: ids are below it. */
struct cel_node *cel_parse(struct arena *a, struct str source, uint32_t *n_nodes,
                           struct cel_errors *es);

struct cel_prog {
    struct arena *a;
    size_t n_bytes;
    struct cel_node *root;
    uint32_t n_nodes, n_slots;
    enum cel_kind kind;
    uint32_t uses; /* bits of variables */
    uint64_t max_cost;
    struct regex **regexes;
    size_t n_regexes;
};

/* types: for each id, made in the arena t, without bounds. False: es says why. */
bool cel_check(struct cel_prog *p, const struct cel_var *vars, size_t n_vars, struct arena *t,
               const struct cel_type **types, struct cel_errors *es);

/* root: the type of the first variable; types as cel_check has left them. The cost at most;
 * UINT64_MAX: no bound. */
uint64_t cel_estimate(const struct cel_prog *p, const struct cel_type *root,
                      const struct cel_type *const *types);
