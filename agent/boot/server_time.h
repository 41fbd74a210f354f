#pragma once
/*
 * Server time: what a server's word about the time is worth. Pure; the reasons and the attacker
 * that they are meant for are in docs/decisions.md.
 *
 * The word comes over TLS from a peer that proved, dates left out, to be a server of this cluster:
 * the pinned CA, the name "kubernetes". It may be a thief with the key of an old server
 * certificate, so no word is taken that its own certificate does not allow, nor one that goes back
 * behind the floor, nor one that calls a clock ahead that a time service keeps.
 */
#include <stdbool.h>
#include <stdint.h>

struct server_time_word {
    int64_t server_unix_s;                /* what it says */
    int64_t from_unix_s, until_unix_s;    /* when its certificate chain is valid */
    int64_t now_unix_s;                   /* our clock */
    int64_t machine_unix_s, floor_unix_s; /* clock_machine_s, clock_floor_s */
    bool synced;                          /* clock_is_synced */
};

enum server_time_verdict {
    SERVER_TIME_AGREES,   /* within CLOCK_SLACK_S; or a time service keeps ours, and it will do */
    SERVER_TIME_TAKE,     /* ours is wrong: clock_learn_s */
    SERVER_TIME_MACHINE,  /* the machine's own clock says so too: clock_trust_machine */
    SERVER_TIME_OWN_CERT, /* refused: its certificate is not valid at the time it says */
    SERVER_TIME_FLOOR,    /* refused: it was later already */
    SERVER_TIME_SYNCED,   /* refused: a time service says that it is later */
};

enum server_time_verdict server_time_judge(const struct server_time_word *w);
/* Why it was refused, for people; "" where it was not. */
const char *server_time_why(enum server_time_verdict v);
/* The floor that an accepted word allows: a machine whose own clock says something earlier has only
 * been told, and what one server says another may take back. */
int64_t server_time_floor_s(int64_t server_unix_s, int64_t machine_unix_s);
