#pragma once
/*
 * Node password: protects a node's name. The first to show a name sets its password, kept as a
 * scrypt hash in the Secret kube-system/<node>.node-password.k3s (docs/protocols/registration.md);
 * whoever shows the name later must show the same password. Fails closed: when the Secret cannot be
 * read or written, nobody gets a certificate.
 *
 * A verified password is remembered as a keyed digest bound to that hash, so that the four requests
 * of a join and a mass reconnect cost one scrypt per node (32 MiB, 80 ms in the pool). A rejection
 * is recorded as an Event on the node, at most once a minute each. Loop thread only.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <uv.h>

struct api;
struct node_passwords;

void node_passwords_new(struct node_passwords **out, uv_loop_t *loop, struct api *api);
/* Checks under way still call back, with ERR_CANCELED; then done, and it is gone. */
void node_passwords_close(struct node_passwords *np, void (*done)(void *arg), void *arg);

/* done comes once, later. e NULL: the password is the node's (or is now). ERR_DENIED: it is not;
 * the text says how the node gets back in. ERR_NOT_FOUND: the node has none, and none may be set.
 * ERR_AGAIN: the store cannot tell now. */
typedef void (*node_password_fn)(void *arg, const struct err *e);
/* node in lower case; password as the agent sent it. Both are copied; the copy is wiped. may_set:
 * a node that has no password gets this one. */
void node_passwords_check(struct node_passwords *np, const char *node, struct str password,
                          bool may_set, node_password_fn done, void *arg);

#define NODE_PASSWORD_MAX_BYTES 512 /* agents send 32 characters */
