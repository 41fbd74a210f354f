#pragma once
/*
 * Custom: the definitions of custom kinds are followed, and the kinds that they make are in the
 * schema, on every server, whoever wrote the definition. Inside server/api only.
 *
 * A definition that changes makes new kinds in place of the old: watches of these end, as
 * upstream's do, and requests under way go on with what they began with.
 */
#include <stdbool.h>

struct api;
struct customs;

/* synced is called once, later: every definition that was there is served. */
void customs_start(struct customs **out, struct api *a, void (*synced)(void *arg), void *arg);
void customs_stop(struct customs *c); /* follows no more; the kinds stay */
void customs_free(struct customs *c); /* after the last request; NULL is fine */
