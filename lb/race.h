#pragma once
/*
 * Race: a server for one connection. The best one is dialed first; the next one at once when it
 * fails, or beside it when it is silent for a second; the first that answers wins. Who loses goes
 * on to the end of its own time, for the set to know whether it is there: a silent server is FAILED
 * then, and costs nobody a second again.
 *
 * Loop thread only. The set hears every outcome.
 */
#include "lb/connect.h"
#include "lb/server_set.h"

/* What the races of a balancer share. */
struct race_track;
struct race_track *race_track_new(struct lb_dialer *dialer, struct lb_server_set *set,
                                  uint64_t dial_timeout_ms);
/* Cancels every race; done comes later, when no dial is left. */
void race_track_close(struct race_track *t, void (*done)(void *arg), void *arg);
/* Somebody found this server: races in which nobody runs who is known to be there try it now. */
void race_track_found(struct race_track *t, struct lb_server *s);

/* s and w are yours (lb_server_unref, watch_close); both NULL: no server answered, n_tried were
 * tried. The race is gone. */
typedef void (*race_done_fn)(void *arg, struct lb_server *s, struct watch *w, size_t n_tried);

/* done comes once, later. */
void race_start(struct race_track *t, race_done_fn done, void *arg);
