#pragma once
/*
 * Namespace left: what a pass over a Namespace that is being deleted found, and the conditions that
 * say so (pkg/controller/namespace/deletion/status_condition_utils.go, 1.32). Loop thread only.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <jansson.h>

struct namespace_left {
    size_t n_objects;   /* still there after their delete */
    json_t *resources;  /* "pods." -> how many */
    json_t *finalizers; /* "a/b" -> how many */
    json_t *errors;     /* texts */
};
void namespace_left_init(struct namespace_left *l);
void namespace_left_deinit(struct namespace_left *l);

/* An object that its delete has left there. */
void namespace_left_add(struct namespace_left *l, const char *group, const char *plural,
                        const json_t *obj);
void namespace_left_failed(struct namespace_left *l, const char *why);

/* Brings the conditions of a Namespace's status up to date. True: they have changed. */
bool namespace_left_conditions(const struct namespace_left *l, json_t *status, const char *now);
