#pragma once
/*
 * Families: which IP families a list of addresses or networks has. Servers and agents hold their
 * flags against it. Plain values; any thread.
 */
#include <stdbool.h>
#include <stddef.h>

struct families {
    bool v4, v6;
    bool first_v6;  /* the first of the list is: the primary family */
    char text[256]; /* "[10.42.0.0/16 fd00:42::/56]", as K3s prints it; cut when it is longer */
};

/* Texts of addresses or networks that were checked before: those with a colon are IPv6. */
void families_of(struct families *out, const char *const *texts, size_t n);
bool families_dual(const struct families *f);
bool families_same(const struct families *a, const struct families *b); /* primary one too */
/* What a pod or a node is shown by (kubelet's sortPodIPs, component-helpers GetNodeHostIPs): the
 * first address of each family, that of first_v6's family in front. Borrowed; returns how many. */
size_t families_pick(const char *out[2], const char *const *ips, size_t n, bool first_v6);
/* f lacks none of those that needed has. */
bool families_has_all(const struct families *f, const struct families *needed);
