#pragma once
/* Cel rig: a typed "self" and its JSON, and what an expression makes of it, as text. */
#include "server/cel/cel.h"

extern const struct cel_type cel_rig_self;

/* What expr is: "true", "3", "a text", `[1, 2]`, "error: ..."; for what does not compile cel-go's
 * list of errors. Heap, the caller's. *cost may be NULL. */
char *cel_rig_run(const char *expr, uint64_t *cost);
/* The same against another limit. */
char *cel_rig_run_limited(const char *expr, uint64_t cost_max);
