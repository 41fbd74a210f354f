#pragma once
/*
 * CEL func: the functions and operators, one row for each overload; for server/cel only.
 *
 * A signature is one letter for each argument, ':' and the result:
 *     b bool  i int  u uint  d double  s string  y bytes  n null  t timestamp  r duration  D dyn
 *     L<x> list  M<kv> map  O<x> optional  T<x> type  q quantity  p IP  c CIDR  U URL  f format
 *     A B C any type, the same wherever the letter stands
 */
#include "server/cel/ast.h"

struct cel_call {
    const struct cel_node *node;
    const struct cel_value *args;
    size_t n;
};

typedef struct cel_value (*cel_fn_run)(struct cel_run *r, const struct cel_call *c);

enum cel_price { /* what a call costs when it runs (cel-go interpreter/runtimecost.go, Kubernetes'
                    pkg/cel/library/cost.go) and at most (checker/cost.go) */
                 PRICE_ONE,
                 PRICE_NONE,
                 PRICE_ARG0,     /* a tenth of the first argument's size */
                 PRICE_ARG0_2,   /* a fifth of it */
                 PRICE_PARSE,    /* a tenth of it when it runs, 1 at most, as upstream has it */
                 PRICE_PARSE_2,  /* the same with a fifth */
                 PRICE_PREFIX,   /* a tenth of the first's when it runs, of the second's at most */
                 PRICE_MIN,      /* a tenth of the smaller one of two */
                 PRICE_SUM,      /* a tenth of both */
                 PRICE_ADD_LIST, /* 1, and a list as long as both */
                 PRICE_IN_LIST,  /* the second's size */
                 PRICE_REGEX,
                 PRICE_CONTAINS,
                 PRICE_WALK, /* all of the first argument */
                 PRICE_JOIN,
                 PRICE_FORMAT,
                 PRICE_CIDR_IP,
                 PRICE_CIDR_CIDR,
                 PRICE_SETS,
                 PRICE_INDEX,
                 PRICE_TO_BYTES,
};

struct cel_fn {
    const char *name; /* "_+_", "size", "sets.contains" */
    bool member;
    const char *sig;
    cel_fn_run run;
    enum cel_price price;
};

/* All of one name, in one block. NULL: there are none. */
const struct cel_fn *cel_fn_find(struct str name, size_t *n);

/* The next type of a signature; *sig moves on. params: what A, B and C are. */
const struct cel_type *cel_sig_type(struct arena *a, const char **sig,
                                    const struct cel_type *const params[3]);
/* Do the arguments fit, by their kinds alone? */
bool cel_fn_fits(const struct cel_fn *f, const struct cel_value *args, size_t n);

/* The tables of the libraries, each ended by a row without name. */
extern const struct cel_fn cel_lib_ops[], cel_lib_convert[], cel_lib_time[], cel_lib_string[],
    cel_lib_list[], cel_lib_net[], cel_lib_kube[], cel_lib_optional[];

/* What formats a double as Go's %v and string() do; into out. */
void cel_double_text(char out[40], double d);
struct cel_value cel_moment_text(struct cel_run *r, struct cel_moment t);
struct cel_value cel_duration_text(struct cel_run *r, int64_t ns);
/* Go's time.ParseDuration; kube: strfmt.ParseDuration, which has days, weeks and blanks. */
bool cel_duration_parse(int64_t *ns, struct str s, bool kube);
bool cel_moment_parse(struct cel_moment *t, struct str s);
#define CEL_MOMENT_MIN (-62135596800LL) /* year 1 */
#define CEL_MOMENT_MAX 253402300799LL   /* the end of year 9999 */
/* The text of a value as string() has it; CEL_ERROR for what has none. */
struct cel_value cel_to_string(struct cel_run *r, const struct cel_value *v);
/* indexOf and lastIndexOf of texts: lib_list.c has those of lists, in one block with them. */
struct cel_value cel_text_index(struct cel_run *r, const struct cel_call *c, bool last);
/* format() of texts (lib_format.c). */
struct cel_value cel_text_format(struct cel_run *r, const struct cel_call *c);
/* The pattern of a call: the node's, or compiled now; NULL: *why. */
struct regex *cel_call_regex(struct cel_run *r, const struct cel_call *c, struct str pattern,
                             struct cel_value *why);
void cel_call_regex_done(const struct cel_call *c, struct regex *re);
