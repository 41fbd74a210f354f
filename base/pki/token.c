/*
 * The grammar, as K3s reads it:
 *
 *   K10 <64 hex or nothing> :: <user> : <password>
 *   K10 <64 hex or nothing> :: <id> . <secret>        bootstrap
 *   <id> . <secret>                                   as K10::<id>.<secret>
 *   anything else                                     as K10:::<password>, that is no hash, no user
 *
 * The text is split at the first "::", the credentials at the first ':', so a password may hold
 * both.
 */
#include "base/pki/token.h"

#include "base/core/mem.h"
#include "base/core/rand.h"

#include <stdio.h>

static const struct str version = STR("K10");

static bool all_lower_alnum(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9'))
            return false;
    return true;
}

bool token_is_bootstrap_text(struct str s)
{
    return s.n == 6 + 1 + 16 && s.p[6] == '.' && all_lower_alnum(str_n(s.p, 6)) &&
           all_lower_alnum(str_n(s.p + 7, 16));
}

static void copy_text(char *out, struct str s)
{
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

/* Splits into views of text; no hash is empty. */
static int split(struct str text, struct str *hash, struct str *creds, struct err *e)
{
    *hash = str_n(text.p, 0);
    if (!str_starts(text, version)) {
        *creds = text; /* the empty user of a short token is the caller's business */
        return 0;
    }
    text = str_n(text.p + version.n, text.n - version.n);
    if (!str_cut_str(text, STR("::"), hash, creds)) {
        *hash = str_n(text.p, 0);
        *creds = text;
    } else if (hash->n != 0 && hash->n != 64) {
        return err_set(e, ERR_INVALID,
                       "bad CA hash length: a token has 64 characters between K10 and ::, not %zu",
                       hash->n);
    }
    return 0;
}

int token_parse(struct token *out, struct str text, struct err *e)
{
    bool is_short = !str_starts(text, version);
    struct str hash, creds, user, password;
    struct token t = { .ca_hash = "" };

    if (!text.n)
        return err_set(e, ERR_INVALID, "empty token");
    if (text.n > TOKEN_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a token of %zu bytes is too long", text.n);
    if (memchr(text.p, '\0', text.n))
        return err_set(e, ERR_INVALID, "the token holds a zero byte");
    if (split(text, &hash, &creds, e))
        return (int)e->code;
    if (hash.n)
        copy_text(t.ca_hash, hash);
    if (token_is_bootstrap_text(creds)) {
        copy_text(t.bootstrap_id, str_n(creds.p, 6));
        copy_text(t.bootstrap_secret, str_n(creds.p + 7, 16));
        user = password = str_of("");
    } else if (is_short) {
        user = str_of("");
        password = creds;
    } else if (!str_cut(creds, ':', &user, &password) || !password.n) {
        return err_set(e, ERR_INVALID,
                       "invalid format: a token reads K10<CA hash>::<user>:"
                       "<password>, or is only a password");
    }
    t.user = mem_strndup(user.p, user.n);
    t.password = mem_strndup(password.p, password.n);
    *out = t;
    return 0;
}

void token_deinit(struct token *t)
{
    if (t->password)
        explicit_bzero(t->password, strlen(t->password));
    free(t->password);
    free(t->user);
    explicit_bzero(t, sizeof *t);
}

int token_print_user(const char *ca_hash, const char *user, const char *password, struct buf *out)
{
    return buf_addf(out, "K10%s::%s:%s", ca_hash, user, password);
}

int token_print(const struct token *t, const char *ca_hash, struct buf *out)
{
    if (token_is_bootstrap(t))
        return buf_addf(out, "K10%s::%s.%s", ca_hash, t->bootstrap_id, t->bootstrap_secret);
    return token_print_user(ca_hash, t->user, t->password, out);
}

int token_check_ca(const struct token *t, const char *ca_hash, struct err *e)
{
    if (!t->ca_hash[0] || !strcmp(t->ca_hash, ca_hash))
        return 0;
    return err_set(e, ERR_DENIED, "the token's CA hash %s is not the server's %s", t->ca_hash,
                   ca_hash[0] ? ca_hash : "(its /cacerts is no certificate)");
}

int token_password(struct str text, struct buf *out, struct err *e)
{
    auto_token t = { .user = NULL };

    if (token_parse(&t, text, e))
        return (int)e->code;
    if (token_is_bootstrap(&t))
        return err_set(e, ERR_INVALID, "a bootstrap token (id.secret) cannot be a server's token");
    if (buf_adds(out, t.password))
        return err_set(e, ERR_LIMIT, "the password does not fit");
    return 0;
}

void token_redact(char *out, size_t n, struct str text)
{
    auto_token t = { .user = NULL };
    struct err e;

    if (!str_starts(text, version) || token_parse(&t, text, &e)) {
        snprintf(out, n, "***");
        return;
    }
    /* the id of a bootstrap token is public: it names a secret that list shows */
    snprintf(out, n, "K10%.8s%s::%.32s%s***", t.ca_hash, t.ca_hash[0] ? "..." : "",
             token_is_bootstrap(&t) ? t.bootstrap_id : t.user, token_is_bootstrap(&t) ? "." : ":");
}

void token_bootstrap_new(char out[24])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < 23; i++) /* the bias of rand_below on 64 bits is nothing */
        out[i] = i == 6 ? '.' : letters[rand_below(sizeof letters - 1)];
    out[23] = '\0';
}
