/* Passwords and the files that show them: cred/passwd, token, node-token, agent-token, ipsec.psk
 * (spec 1.6). The passwd file is the truth, the token files are for people to copy from. */
#include "server/ca/ca_int.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/pki/password.h"
#include "base/pki/pemfile.h"
#include "base/pki/token.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PSK_HEX = 96 };

static void secret_free(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

/* What --token or --agent-token says, as a password. */
static int given_password(char **out, const char *flag, const char *text, const char *ca_hash,
                          struct err *e)
{
    auto_buf password = BUF_SECRET(TOKEN_MAX_BYTES);
    auto_token t = { .user = NULL };

    if (token_password(str_trim(str_of(text)), &password, e) ||
        token_parse(&t, str_trim(str_of(text)), e))
        return err_wrap(e, "%s", flag);
    for (size_t i = 0; i < password.n; i++)
        if ((unsigned char)password.p[i] < 0x20 || password.p[i] == 0x7f)
            return err_set(e, ERR_INVALID, "%s holds a control byte", flag);
    if (t.ca_hash[0] && strcmp(t.ca_hash, ca_hash) != 0)
        log_warn("the token's CA hash is not that of this server's CA; its password is used",
                 kv("flag", flag), kv("token_hash", t.ca_hash), kv("ca_hash", ca_hash));
    *out = buf_take(&password);
    return 0;
}

static char *known_password(const struct passwd *p)
{
    const struct passwd_user *u = passwd_find(p, STR("server"));

    if (!u || !u->password[0])
        u = passwd_find(p, STR("node")); /* files of very old K3s have only this */
    return u && u->password[0] ? mem_strdup(u->password) : NULL;
}

static int passwd_open(struct secrets *s, const struct conf *c, const char *ca_hash,
                       char **server_pw, char **agent_pw, struct err *e)
{
    auto_free char *path = ca_conf_path(c, "cred/passwd");
    bool changed = false;

    if (passwd_load(&s->passwd, path, e) ||
        (c->token && given_password(server_pw, "--token", c->token, ca_hash, e)) ||
        (c->agent_token && given_password(agent_pw, "--agent-token", c->agent_token, ca_hash, e)))
        return (int)e->code;
    if (!*server_pw)
        *server_pw = known_password(s->passwd);
    if (!*server_pw) {
        *server_pw = mem_alloc(PASSWORD_CHARS + 1);
        password_new(*server_pw);
    }
    if (!*agent_pw)
        *agent_pw = mem_strdup(*server_pw);
    changed |= passwd_set(s->passwd, "node", *agent_pw, "k3s:agent");
    changed |= passwd_set(s->passwd, "server", *server_pw, "k3s:server");
    return changed ? passwd_save(s->passwd, path, e) : 0;
}

/* Absolute link to the token file, replaced only when it is something else. */
static int link_to_token(const struct conf *c, const char *name, const char *target, struct err *e)
{
    auto_free char *path = ca_conf_path(c, name);
    auto_free char *tmp = mem_printf("%s.tmp", path);
    char now_at[4096];
    ssize_t n = readlink(path, now_at, sizeof now_at);

    if (n >= 0 && str_is(str_n(now_at, (size_t)n), target))
        return 0;
    unlink(tmp);
    if (symlink(target, tmp) || rename(tmp, path))
        return err_sys(e, errno, "link %s to %s", path, target);
    return 0;
}

static int write_token(const char *path, const char *ca_hash, const char *user,
                       const char *password, char **text_out, struct err *e)
{
    auto_buf text = BUF_SECRET(2 * TOKEN_MAX_BYTES);

    if (token_print_user(ca_hash, user, password, &text))
        return err_set(e, ERR_LIMIT, "the token is too long");
    if (text_out)
        *text_out = mem_strdup(text.p);
    if (buf_addc(&text, '\n'))
        return err_set(e, ERR_LIMIT, "the token is too long");
    return ca_write_if_changed(path, buf_str(&text), 0600, e);
}

static int token_files(struct secrets *s, const struct conf *c, const char *ca_hash,
                       const char *server_pw, const char *agent_pw, struct err *e)
{
    auto_free char *token = ca_conf_path(c, "token");
    auto_free char *agent = ca_conf_path(c, "agent-token");
    struct stat st;

    if (write_token(token, ca_hash, "server", server_pw, &s->token, e) ||
        link_to_token(c, "node-token", token, e))
        return (int)e->code;
    if (!c->agent_token)
        return link_to_token(c, "agent-token", token, e);
    if (lstat(agent, &st) == 0 && S_ISLNK(st.st_mode))
        unlink(agent); /* or the comparison below would read the server's token */
    return write_token(agent, ca_hash, "node", agent_pw, NULL, e);
}

static int psk_open(struct secrets *s, const struct conf *c, struct err *e)
{
    auto_free char *path = ca_conf_path(c, "cred/ipsec.psk");
    auto_buf text = BUF_SECRET(1024);
    char hex[PSK_HEX + 2];
    struct str psk;
    struct err read_e = { 0 };
    int r = pemfile_read(&text, path, &read_e);

    if (r && r != ERR_NOT_FOUND) {
        *e = read_e;
        return r;
    }
    if (r || (c->fresh && !text.n)) {
        rand_hex(hex, PSK_HEX / 2);
        hex[PSK_HEX] = '\n';
        r = buf_add(&text, hex, PSK_HEX + 1) ? err_set(e, ERR_LIMIT, "%s", path)
                                             : ca_write(c, path, buf_str(&text), 0600, e);
        explicit_bzero(hex, sizeof hex);
        if (r)
            return r;
    }
    psk = str_trim(buf_str(&text));
    s->psk = mem_strndup(psk.p ? psk.p : "", psk.n);
    return 0;
}

int ca_secrets_open(struct secrets *s, const struct conf *c, const char *ca_hash, struct err *e)
{
    char *server_pw = NULL, *agent_pw = NULL;
    int r = psk_open(s, c, e);

    /* cred/passwd says that a first start went through: all else must be on the disk by then */
    if (!r && c->fresh)
        r = pemfile_sync(c->dir, e);
    if (!r)
        r = passwd_open(s, c, ca_hash, &server_pw, &agent_pw, e);
    if (!r)
        r = token_files(s, c, ca_hash, server_pw, agent_pw, e);
    secret_free(server_pw);
    secret_free(agent_pw);
    return r;
}

void ca_secrets_deinit(struct secrets *s)
{
    passwd_free(s->passwd);
    secret_free(s->psk);
    secret_free(s->token);
}
