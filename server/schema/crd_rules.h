#pragma once
/*
 * CRD rules: x-kubernetes-validations of a custom kind, compiled, and instances against them
 * (apiextensions-apiserver pkg/apiserver/schema/cel, release 1.32).
 *
 * A rule sees the value that it is declared at as self and, on an update, what that was before as
 * oldSelf: a rule that names oldSelf is run only where there is one, which is told for fields,
 * entries of maps and items of lists by key; optionalOldSelf makes it an optional and runs always.
 * What a rule finds wrong in a value that is as it was before may stay (KEP 4008), unless it is
 * about the change itself.
 *
 * One thread: programs keep their patterns' workspace.
 */
#include "server/schema/crd_cel.h"
#include "server/schema/field_error.h"

#define CRD_RULES_COST_MAX 10000000 /* of one object: celconfig.RuntimeCELCostBudget */
#define CRD_MESSAGE_MAX    5120     /* bytes that a messageExpression may make */

struct crd_rule {
    const json_t *doc;           /* as it is written; borrowed */
    struct cel_prog *prog;       /* NULL: it could not be compiled, or it is empty */
    struct cel_prog *message;    /* of messageExpression; NULL */
    char *error, *message_error; /* why not; NULL */
    const char *field_path;      /* "a.b" of fieldPath, NULL */
    bool uses_old, optional_old;
};

/* A part of the schema that has rules, or parts with some. */
struct crd_rules {
    const struct crd_node *node;
    const struct cel_type *type; /* NULL: rules cannot see it */
    struct crd_rule *rules;
    size_t n_rules;
    struct crd_rules_prop {
        const char *name;
        struct crd_rules *rules;
    } * props; /* sorted by name */
    size_t n_props;
    struct crd_rules *items, *additional; /* NULL: no rules below */
};

/* NULL: n has none. All of it lies in a but what crd_rules_free gives back; n, its document and a
 * outlive it. is_root: n is of a whole object. */
struct crd_rules *crd_rules_new(struct arena *a, const struct crd_node *n, bool is_root);
void crd_rules_free(struct crd_rules *r);

/* p NULL: v is a whole object. old NULL: there was none. */
void crd_rules_check(const struct crd_rules *r, const json_t *v, const json_t *old,
                     const struct field_path *p, struct field_errors *fe);

/* fieldPath as upstream reads it: ".a.b['c.d']" below n becomes "a.b.c.d", heap, the caller's.
 * NULL: *why says what is wrong, heap too. */
char *crd_rules_path(const struct crd_node *n, const char *path, char **why);

/* The text of s without blanks at its ends, heap; s NULL is "". */
char *crd_rules_trimmed(const char *s);

DEFINE_AUTO(crd_rules);
