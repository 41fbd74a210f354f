#pragma once
/*
 * Slots: numbered places of which each is free or held, and the recount that finds what was lost.
 * Addresses of a network and node ports are such. Loop thread only.
 */
#include <stdbool.h>
#include <stddef.h>

struct slots;

/* n places from 0 on. The first n_lower are where people choose theirs: slots_take_any comes to
 * them last, and never to the first n_kept. */
struct slots *slots_new(size_t n, size_t n_lower, size_t n_kept);
void slots_free(struct slots *s);

bool slots_has(const struct slots *s, size_t i); /* there is such a place */
/* false: held already, or there is no such place. */
bool slots_take(struct slots *s, size_t i);
/* Any free one, from a random place on. false: none is left. */
bool slots_take_any(struct slots *s, size_t *out);
void slots_hold(struct slots *s, size_t i); /* whoever holds it now; places beyond n are ignored */
void slots_give(struct slots *s, size_t i);

/* begin; see what is in use, which is held then; end: what nobody saw at two ends in a row is free
 * again. Returns how many. */
void slots_recount_begin(struct slots *s);
void slots_recount_see(struct slots *s, size_t i);
size_t slots_recount_end(struct slots *s);
