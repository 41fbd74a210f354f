#pragma once
/*
 * Probe: finds out whether servers that nobody proved can be reached, by a TCP connect (through the
 * proxy, where there is one) with backoff: new ones before they are preferred, failed ones so that
 * they come back without traffic, the standby one so that it is known to be there. Loop thread
 * only.
 */
#include "lb/connect.h"
#include "lb/server_set.h"

struct lb_prober;

struct lb_prober_config {
    struct lb_dialer *dialer;
    struct lb_server_set *set;
    /* False: somebody else tells about this server, for example its tunnel. */
    bool (*wanted)(void *arg, const struct lb_server *s);
    /* The set has been told already; e is NULL when it answered. s may be INVALID by now. */
    void (*on_probed)(void *arg, struct lb_server *s, const struct err *e);
    void *arg;
};

struct lb_prober *lb_prober_new(const struct lb_prober_config *c);
/* Starts what is due. Called after each change of the list and once a second. */
void lb_prober_tick(struct lb_prober *p);
void lb_prober_close(struct lb_prober *p, void (*done)(void *arg),
                     void *arg); /* done comes later */
