#pragma once
/*
 * Bootstrap tokens: kubeadm-style join tokens (id.secret), kept as Secrets bootstrap-token-<id> of
 * type bootstrap.kubernetes.io/token in kube-system, shown as `Authorization: Bearer id.secret`.
 * An authenticator of the chain in server/auth; the identity is system:bootstrap:<id> in the groups
 * that the Secret names. An informer keeps the tokens in memory. Loop thread only.
 */
#include "server/auth/authenticate.h"

struct api;
struct bootstrap_tokens;

void bootstrap_tokens_new(struct bootstrap_tokens **out, struct api *api);
void bootstrap_tokens_free(struct bootstrap_tokens *bt); /* the authenticator is no longer called */

/* arg: struct bootstrap_tokens *. An expired or unknown token is AUTHN_FAILED with the reason. */
enum authn_result bootstrap_tokens_check(void *arg, const struct authn_credentials *c,
                                         struct identity **out, struct err *e);
