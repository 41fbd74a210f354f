#pragma once
/*
 * Token: what a node shows to join: K10<CA hash>::<user>:<password>, K10<hash>::<id>.<secret>, or
 * only the password or the bootstrap token (K3s pkg/clientaccess; kubeadm bootstrap tokens).
 * Sans-I/O, any thread. The fields are secret: log token_redact's text and nothing else.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define TOKEN_MAX_BYTES 4096

struct token {
    char ca_hash[65];     /* "" : the CA is not pinned */
    char *user;           /* "" in short tokens; never NULL after token_parse */
    char *password;       /* "" in bootstrap tokens */
    char bootstrap_id[7]; /* "" unless it is a bootstrap token */
    char bootstrap_secret[17];
};

/* out need not be initialised; on success token_deinit it. ERR_INVALID says what is wrong, without
 * a byte of the secret. */
MUST_USE int token_parse(struct token *out, struct str text, struct err *e);
void token_deinit(struct token *t); /* wipes */
#define auto_token __attribute__((cleanup(token_deinit))) struct token

static inline bool token_is_bootstrap(const struct token *t)
{
    return t->bootstrap_id[0] != '\0';
}

/* Appends the canonical text with this hash ("" is allowed); out should be a BUF_SECRET. */
MUST_USE int token_print(const struct token *t, const char *ca_hash, struct buf *out);
/* K10<hash>::<user>:<password> */
MUST_USE int token_print_user(const char *ca_hash, const char *user, const char *password,
                              struct buf *out);

/* No hash in the token matches all. Plain lower-case comparison, as K3s does. ERR_DENIED names both
 * hashes, the token's first. */
MUST_USE int token_check_ca(const struct token *t, const char *ca_hash, struct err *e);

/* The password part of a token that an operator gave (--token): of a K10 text what follows the
 * user, else the whole text. Appends. ERR_INVALID, also for bootstrap tokens: a server cannot be
 * started with one. */
MUST_USE int token_password(struct str text, struct buf *out, struct err *e);

/* For logs: "K10<first 8 digits>...::server:***", "***". out is cut to fit n. */
void token_redact(char *out, size_t n, struct str text);

/* id.secret with fresh random characters; out holds 24 bytes. */
void token_bootstrap_new(char out[24]);
/* ^[a-z0-9]{6}\.[a-z0-9]{16}$ */
bool token_is_bootstrap_text(struct str s);
