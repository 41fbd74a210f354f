#include "agent/cri/config.h"

#include "base/data/cidr.h"
#include "base/data/json.h"

#include <string.h>

/* What containerd does not load: file systems and services that an edge node does not use. (1.6
 * needs runtime.v1.linux: its tasks service, and CRI with it, does not load without.) */
static const char *const disabled[] = {
    "io.containerd.snapshotter.v1.aufs",       "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",  "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.restart",       "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
};

#define CRI "[plugins.\"io.containerd.grpc.v1.cri\""

static int line(struct buf *b, const char *key, const char *value)
{
    if (buf_addf(b, "%s = ", key))
        return ERR_LIMIT;
    /* A basic string of TOML takes all that a JSON string may hold. */
    return json_write_str(b, str_of(value)) || buf_addc(b, '\n') ? ERR_LIMIT : 0;
}

static int add_top(struct buf *b, const struct config_containerd *c)
{
    if (buf_adds(b, "# Written by coracle at every start; changes are lost.\nversion = 2\n") ||
        line(b, "root", c->root) || line(b, "state", c->state) ||
        buf_adds(b, "disabled_plugins = ["))
        return ERR_LIMIT;
    for (size_t i = 0; i < ARRAY_LEN(disabled); i++)
        if (buf_addf(b, "%s\"%s\"", i ? ", " : "", disabled[i]))
            return ERR_LIMIT;
    return buf_addf(b, "]\n\n[debug]\nlevel = \"%s\"\n\n[grpc]\n", c->debug ? "debug" : "warn") ||
                   line(b, "address", c->socket)
               ? ERR_LIMIT
               : 0;
}

int config_containerd(struct buf *b, const struct config_containerd *c)
{
    if (add_top(b, c) || buf_adds(b, "\n[plugins.\"io.containerd.internal.v1.opt\"]\n") ||
        line(b, "path", c->root) || buf_adds(b, "\n" CRI "]\n") ||
        /* Streams are for us alone: on loopback, at a port that the kernel chooses. */
        line(b, "stream_server_address", "127.0.0.1") || line(b, "stream_server_port", "0") ||
        line(b, "sandbox_image", c->pause_image) ||
        buf_addf(b, "restrict_oom_score_adj = %s\n\n",
                 c->restrict_oom_score_adj ? "true" : "false") ||
        buf_adds(b, CRI ".containerd]\n") || line(b, "snapshotter", c->snapshotter) ||
        buf_adds(b, "default_runtime_name = \"runc\"\n\n") ||
        buf_adds(b,
                 CRI ".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\n") ||
        buf_adds(b, CRI ".containerd.runtimes.runc.options]\nSystemdCgroup = false\n\n") ||
        buf_adds(b, CRI ".cni]\n") || line(b, "bin_dir", c->cni_bin_dir) ||
        line(b, "conf_dir", c->cni_conf_dir))
        return ERR_LIMIT;
    return 0;
}

static int add_network(json_t *ranges, json_t *routes, struct str cidr, struct err *e)
{
    struct cidr c;

    if (!cidr_parse(&c, cidr))
        return err_set(e, ERR_INVALID, "pod network \"%.*s\": not an address prefix",
                       (int)MIN(cidr.n, (size_t)60), cidr.p);
    json_array_append_new(ranges, json_pack("[{s:s%}]", "subnet", cidr.p, cidr.n));
    json_array_append_new(routes,
                          json_pack("{s:s}", "dst", c.family == AF_INET6 ? "::/0" : "0.0.0.0/0"));
    return 0;
}

int config_cni(struct buf *b, const char *cidrs, const char *bridge, const char *lease_dir,
               struct err *e)
{
    json_auto_t *conf = NULL, *ranges = json_array(), *routes = json_array();
    struct str rest = str_of(cidrs), one;

    do {
        str_cut(rest, ',', &one, &rest);
        if (add_network(ranges, routes, one, e))
            return (int)e->code;
    } while (rest.n);
    conf = json_pack("{s:s, s:s, s:[{s:s, s:s, s:b, s:b, s:b, s:{s:s, s:s, s:O, s:O}},"
                     " {s:s, s:{s:b}, s:b}]}",
                     "cniVersion", "0.4.0", "name", "coracle", "plugins",                  /* */
                     "type", "bridge", "bridge", bridge, "isGateway", 1, "ipMasq", 1,      /* */
                     "hairpinMode", 1, "ipam", "type", "host-local", "dataDir", lease_dir, /* */
                     "ranges", ranges, "routes", routes,                                   /* */
                     "type", "portmap", "capabilities", "portMappings", 1, "snat", 1);
    if (!conf || json_write_indented(b, conf, 2) || buf_addc(b, '\n'))
        return err_set(e, ERR_LIMIT, "network configuration for %s", cidrs);
    return 0;
}
