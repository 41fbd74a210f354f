/* Kubeconfigs and the key that signs ServiceAccount tokens. */
#include "server/ca/ca_int.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/kubeconfig.h"
#include "base/pki/pemfile.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

int ca_write_if_changed(const char *path, struct str bytes, mode_t mode, struct err *e)
{
    auto_buf old = BUF_SECRET(2 * CA_FILE_MAX_BYTES);
    struct err old_e;
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == mode &&
        !pemfile_read(&old, path, &old_e) && str_eq(buf_str(&old), bytes))
        return 0;
    return pemfile_write_lazy(path, bytes, mode, e);
}

int ca_write(const struct conf *c, const char *path, struct str bytes, mode_t mode, struct err *e)
{
    return c->fresh ? pemfile_write_lazy(path, bytes, mode, e)
                    : pemfile_write(path, bytes, mode, e);
}

bool ca_has(const struct conf *c, const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !(c->fresh && st.st_size == 0);
}

int ca_key_open(struct key **out, const struct conf *c, const char *path, struct err *e)
{
    auto_buf pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    AUTO(key) struct key *k = NULL;

    if (ca_has(c, path))
        return key_load_or_create(out, path, KEY_P256, NULL, e);
    if (key_generate(&k, KEY_P256, e) || key_to_pem(k, &pem, e) ||
        ca_write(c, path, buf_str(&pem), 0600, e))
        return err_wrap(e, "new key");
    *out = STEAL(k);
    return 0;
}

/* ---- the ServiceAccount key ---- */

struct service_key {
    const struct conf *conf;
    char *path, *current_path;
    uv_thread_t thread;
    bool running;
    struct key *key; /* of the thread, until it is joined */
    struct err err;
};

static void generate(void *arg)
{
    struct service_key *s = arg;

    if (key_generate(&s->key, KEY_RSA, &s->err))
        s->key = NULL; /* err says why */
}

struct service_key *ca_service_key_begin(const struct conf *c)
{
    struct service_key *s = mem_alloc(sizeof *s);

    s->conf = c;
    s->path = ca_conf_path(c, "tls/service.key");
    s->current_path = ca_conf_path(c, "tls/service.current.key");
    if (ca_has(c, s->path))
        return s;
    s->running = uv_thread_create(&s->thread, generate, s) == 0;
    if (!s->running)
        generate(s);
    return s;
}

static int finish(struct service_key *s, struct buf *out, struct err *e)
{
    auto_buf first = BUF_SECRET(KEY_PEM_MAX_BYTES);
    AUTO(key) struct key *key = NULL;
    struct bundle_block b;
    struct str rest;

    if (s->key) {
        if (key_to_pem(s->key, out, e) || ca_write(s->conf, s->path, buf_str(out), 0600, e))
            return err_wrap(e, "new ServiceAccount key");
    } else if (s->err.code) {
        *e = s->err;
        return err_wrap(e, "new ServiceAccount key");
    } else if (pemfile_read(out, s->path, e)) {
        return (int)e->code;
    }
    if (key_parse_pem(&key, buf_str(out), e))
        return err_wrap(e,
                        "%s (restore it from a backup; without it all ServiceAccount tokens "
                        "become invalid)",
                        s->path);
    rest = buf_str(out);
    while (bundle_next(&rest, &b))
        if (b.is_key)
            break;
    if (buf_add_str(&first, b.raw) ||
        (!str_ends(buf_str(&first), STR("\n")) && buf_addc(&first, '\n')))
        return err_set(e, ERR_LIMIT, "the first key of %s is too large", s->path);
    return ca_write_if_changed(s->current_path, buf_str(&first), 0600, e);
}

int ca_service_key_wait(struct service_key *s_take, struct buf *out, struct err *e)
{
    struct service_key *s = s_take;
    int r;

    if (s->running)
        uv_thread_join(&s->thread);
    r = out ? finish(s, out, e) : 0;
    key_free(s->key);
    free(s->path);
    free(s->current_path);
    free(s);
    return r;
}

/* ---- kubeconfigs ---- */

int ca_component_kubeconfigs(const struct conf *c, struct err *e)
{
    static const struct {
        const char *name, *base;
    } table[] = {
        { "admin", "client-admin" },
        { "supervisor", "client-supervisor" },
        { "controller", "client-controller" },
        { "scheduler", "client-scheduler" },
        { "api-server", "client-kube-apiserver" },
        { "cloud-controller", "client-k3s-cloud-controller" },
    };
    auto_free char *ca = ca_conf_path(c, "tls/server-ca.crt");

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        auto_free char *path = mem_printf("%s/cred/%s.kubeconfig", c->dir, table[i].name);
        auto_free char *cert = mem_printf("%s/tls/%s.crt", c->dir, table[i].base);
        auto_free char *key = mem_printf("%s/tls/%s.key", c->dir, table[i].base);
        const struct kubeconfig_paths p = { c->component_url, ca, cert, key };
        auto_buf text = BUF(KUBECONFIG_MAX_BYTES);

        if (kubeconfig_files(&text, &p, e) || ca_write_if_changed(path, buf_str(&text), 0600, e))
            return err_wrap(e, "kubeconfig of %s", table[i].name);
    }
    return 0;
}

static int set_group(const char *path, const char *group, struct err *e)
{
    struct group g, *found = NULL;
    char text[16 * 1024];
    uint64_t gid;
    int sys;

    if (str_to_u64(str_of(group), &gid) && gid < UINT32_MAX) {
        found = &g;
        g.gr_gid = (gid_t)gid;
    } else {
        sys = getgrnam_r(group, &g, text, sizeof text, &found);
        if (sys)
            return err_sys(e, sys, "look up group %s", group);
    }
    if (!found)
        return err_set(e, ERR_NOT_FOUND, "there is no group %s", group);
    if (chown(path, (uid_t)-1, found->gr_gid))
        return err_sys(e, errno, "give %s to group %s", path, group);
    return 0;
}

static int make_parent(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    auto_free char *dir = slash && slash != path ? mem_strndup(path, (size_t)(slash - path)) : NULL;

    return dir ? pemfile_mkdir(dir, 0755, e) : 0;
}

/* The default place becomes a link to the file that was asked for. */
static int link_default(const char *target, const char *path, struct err *e)
{
    auto_free char *tmp = mem_printf("%s.tmp", path);
    auto_free char *whole = realpath(target, NULL);
    char now_at[4096];
    ssize_t n = readlink(path, now_at, sizeof now_at);

    if (!whole)
        return err_sys(e, errno, "find %s", target);
    if (n >= 0 && str_is(str_n(now_at, (size_t)n), whole))
        return 0;
    if (make_parent(path, e))
        return (int)e->code;
    unlink(tmp);
    if (symlink(whole, tmp) || rename(tmp, path))
        return err_sys(e, errno, "link %s to %s", path, whole);
    return 0;
}

int ca_admin_kubeconfig(const struct conf *c, const struct authority *server,
                        const struct leaf *admin, struct err *e)
{
    const char *path = c->kubeconfig ? c->kubeconfig : c->kubeconfig_default;
    const struct kubeconfig_data d = { .name = c->kubeconfig_name,
                                       .server_url = c->admin_url,
                                       .ca_pem = buf_str(&server->pem),
                                       .cert_pem = buf_str(&admin->pem),
                                       .key_pem = buf_str(&admin->key_pem) };
    auto_buf text = BUF_SECRET(KUBECONFIG_MAX_BYTES);

    if (c->no_kubeconfig)
        return 0;
    if (kubeconfig_embedded(&text, &d, e) || make_parent(path, e) ||
        ca_write_if_changed(path, buf_str(&text), c->kubeconfig_mode, e) ||
        (c->kubeconfig_group && set_group(path, c->kubeconfig_group, e)))
        return err_wrap(e, "admin kubeconfig");
    if (!c->kubeconfig || !strcmp(c->kubeconfig, c->kubeconfig_default))
        return 0;
    return link_default(c->kubeconfig, c->kubeconfig_default, e);
}
