#pragma once
/*
 * Refusal: what it means for an agent, in one sentence, that a server answered a step of its join
 * with another status than 200 (docs/protocols/registration.md). Sans-I/O.
 */
#include "base/core/str.h"
#include "base/kube/cause.h"

#include <stddef.h>

#define REFUSAL_WORDS_BYTES 360
#define REFUSAL_TEXT_BYTES  500

struct refusal {
    int status;
    const char *words;    /* refusal_words of the body */
    bool reviving;        /* it was the expired certificate that should be renewed */
    bool names_node;      /* the request had the node's name and password */
    bool has_token;       /* of the agent's options */
    bool is_bootstrap;    /* that one is a bootstrap token */
    const char *node_dir; /* where the node's password is */
};

/* The server's own words: Status.message, or the plain text of older servers. */
void refusal_words(char out[REFUSAL_WORDS_BYTES], struct str body);
/* Whose fault it is, and what there is to tell. */
enum cause refusal_read(char out[REFUSAL_TEXT_BYTES], const struct refusal *r);
