#pragma once
/*
 * CEL: the Common Expression Language (github.com/google/cel-spec, doc/langdef.md) as Kubernetes
 * 1.32 sets it up (k8s.io/apiserver pkg/cel/environment, base.go): aggregate literals of one type,
 * numbers of different types are ordered, optional values, UTC where no zone is named, the strings
 * library in its version 2, sets, and Kubernetes' lists, regex, url, quantity, ip, cidr and format.
 * What is not there (the authorizer, comprehensions with two variables, messages) is an unknown
 * name to an expression.
 *
 * An expression is compiled against typed variables and then run on JSON values, which are read as
 * their types say and never copied. No I/O. One thread: a program keeps its patterns' workspace.
 *
 *     struct cel_var vars[] = { { "self", type } };
 *
 *     cel_compile(&prog, &arena, vars, 1, STR("self.x > 1"), &why);    or what is wrong
 *     self = cel_value_of_json(json, type);
 *     v = cel_eval(prog, &self, &a, CEL_COST_MAX, &cost);            in an arena of its own
 */
#include "base/core/arena.h"
#include "base/core/str.h"
#include "server/cel/type.h"
#include "server/cel/value.h"

#define CEL_SOURCE_MAX 100000              /* code points of an expression, as cel-go */
#define CEL_DEPTH_MAX  250                 /* of its tree, as cel-go */
#define CEL_COST_MAX   1000000             /* of one evaluation: celconfig.PerCallLimit */
#define CEL_ARENA_MAX  (32U * 1024 * 1024) /* what an evaluation makes; more is too costly */

/* What an error says when the cost went above the limit. */
#define CEL_COST_EXCEEDED "operation cancelled: actual cost limit exceeded"

struct cel_var {
    const char *name;
    const struct cel_type *type; /* lives as long as the program */
};
#define CEL_VARS_MAX 32

struct cel_prog;

/* The program lies in a, which has no bounds and outlives it. 0 or ERR_INVALID; then *why is
 * cel-go's list of errors with their places. Heap, yours. */
MUST_USE int cel_compile(struct cel_prog **out, struct arena *a, const struct cel_var *vars,
                         size_t n_vars, struct str source, char **why);
void cel_prog_free(struct cel_prog *p);

enum cel_kind cel_prog_kind(const struct cel_prog *p); /* of what it yields; CEL_DYN: any */
bool cel_prog_uses(const struct cel_prog *p, size_t var);
/* The cost that it has at most by what its variables' types say of sizes (cel-go checker/cost.go,
 * k8s.io/apiserver pkg/cel/library/cost.go). UINT64_MAX: no bound. */
uint64_t cel_prog_max_cost(const struct cel_prog *p);
size_t cel_prog_bytes(const struct cel_prog *p); /* of memory, its patterns left out */

/* vars: one for each that it was compiled with. The result may point into a, into the program and
 * into the JSON; it may be an error (CEL_ERROR). *cost: what it took, in cel-go's units. */
struct cel_value cel_eval(struct cel_prog *p, const struct cel_value *vars, struct arena *a,
                          uint64_t cost_max, uint64_t *cost);

/* The name of a JSON field as expressions write it: "__namespace__", "a__dot__b" (Kubernetes,
 * "Escape property names"). NULL: it cannot be written. Heap, yours. */
char *cel_escape(const char *field);

DEFINE_AUTO(cel_prog);
