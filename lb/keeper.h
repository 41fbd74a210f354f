#pragma once
/*
 * Keeper: keeps the list of servers in its state file without wearing out the flash: one write at a
 * time, none for what is there already, and half a minute between two. Loop thread only.
 */
#include "lb/state_file.h"

#include <uv.h>

struct lb_keeper;
struct lb_keeper *lb_keeper_new(uv_loop_t *loop, const char *path);
void lb_keeper_put(struct lb_keeper *k, const struct lb_state_file *f); /* copied */
/* Writes what waits, then calls done, later. */
void lb_keeper_close(struct lb_keeper *k, void (*done)(void *arg), void *arg);
