#include "server/boot/config_doc.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/cidr.h"
#include "base/data/json.h"

/* Go's net.IPNet as encoding/json writes it: the mask is base64 of its bytes. */
static json_t *ipnet(const struct cidr *c)
{
    unsigned char mask[16] = { 0 };
    size_t n = cidr_family_bits(c->family) / 8;
    auto_buf b64 = BUF(64);
    char ip[INET6_ADDRSTRLEN];

    for (unsigned i = 0; i < c->prefix_bits; i++)
        mask[i / 8] |= (unsigned char)(0x80 >> i % 8);
    cidr_nth(ip, c, 0);
    err_ignore(base64_add(&b64, str_n(mask, n))); /* 24 bytes fit */
    return json_pack("{s:s, s:s}", "IP", ip, "Mask", buf_cstr(&b64));
}

static int add_ranges(json_t *doc, const char *one, const char *many, const struct flag_list *l,
                      const char *flag, struct err *e)
{
    json_t *list = json_array();

    json_object_set_new(doc, many, list);
    for (size_t i = 0; i < l->n; i++) {
        struct cidr c;
        if (!cidr_parse(&c, str_of(l->v[i])))
            return err_set(e, ERR_INVALID, "--%s: \"%s\" is not a network like 10.42.0.0/16", flag,
                           l->v[i]);
        json_array_append_new(list, ipnet(&c));
    }
    if (!l->n)
        return err_set(e, ERR_INVALID, "--%s: at least one network is needed", flag);
    json_object_set(doc, one, json_array_get(list, 0));
    return 0;
}

static int add_dns(json_t *doc, const struct server_options *o, struct err *e)
{
    json_t *list = json_array();

    json_object_set_new(doc, "ClusterDNSs", list);
    for (size_t i = 0; i < o->cluster_dns.n; i++) {
        struct cidr ip;
        const char *text = o->cluster_dns.v[i];
        if (!cidr_parse_address(&ip, str_of(text)))
            return err_set(e, ERR_INVALID, "--cluster-dns: \"%s\" is not an address", text);
        json_array_append_new(list, json_string(text));
    }
    for (size_t i = 0; i < o->service_cidr.n && !o->cluster_dns.n; i++) {
        struct cidr c;
        char ip[INET6_ADDRSTRLEN];
        if (!cidr_parse(&c, str_of(o->service_cidr.v[i])))
            continue; /* add_ranges has refused it already */
        cidr_nth(ip, &c, 10);
        json_array_append_new(list, json_string(ip));
    }
    json_object_set(doc, "ClusterDNS", json_array_get(list, 0));
    return 0;
}

static int add_port_range(json_t *doc, const char *text, struct err *e)
{
    struct str from, to;
    uint64_t a, b, n;

    if (!str_cut(str_of(text), '-', &from, &to) || !str_to_u64(from, &a) || !str_to_u64(to, &b) ||
        !a || b > 65535 || a > b)
        return err_set(e, ERR_INVALID, "--service-node-port-range: \"%s\" is not like 30000-32767",
                       text);
    n = b - a + 1;
    json_object_set_new(doc, "ServiceNodePortRange",
                        json_pack("{s:I, s:I}", "Base", (json_int_t)a, "Size", (json_int_t)n));
    return 0;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static void add_disabled(json_t *doc, const struct server_options *o)
{
    json_t *map = json_object();

    for (size_t i = 0; i < o->disable.n; i++)
        json_object_set_new(map, o->disable.v[i], json_true());
    json_object_set_new(doc, "Disables", map);
    json_object_set(doc, "Skips", map);
}

static void add_plain(json_t *doc, const struct config_doc *d)
{
    const struct server_options *o = d->o;
    int64_t advertise = o->advertise_port ? o->advertise_port : o->https_listen_port;
    const struct {
        const char *key;
        bool value;
    } bools[] = {
        { "DisableAgent", o->disable_agent },
        { "DisableAPIServer", false },
        { "DisableCCM", o->disable_cloud_controller },
        { "DisableControllerManager", false },
        { "DisableETCD", false },
        { "DisableHelmController", o->disable_helm_controller },
        { "DisableKubeProxy", o->disable_kube_proxy },
        { "DisableNPC", true } /* network policies are not served yet */,
        { "DisableScheduler", o->disable_scheduler },
        { "DisableServiceLB", false },
        { "EncryptSecrets", false },
        { "EmbeddedRegistry", false },
        { "FlannelIPv6Masq", false },
        { "FlannelExternalIP", false },
        { "SupervisorMetrics", false },
        { "KineTLS", false },
        { "NoLeaderElect", true },
        { "ClusterInit", false },
        { "ClusterReset", false },
        { "Rootless", false },
        { "SANSecurity", true },
    };
    const struct {
        const char *key, *value;
    } strings[] = {
        { "ClusterDomain", o->cluster_domain },
        { "EncryptProvider", "" },
        { "FlannelBackend", "vxlan" },
        { "EgressSelectorMode", o->egress_selector_mode },
        { "AdvertiseIP", d->advertise_ip },
        { "APIServerBindAddress", "" },
        { "KubeConfigOutput", or_empty(o->write_kubeconfig) },
        { "KubeConfigMode", or_empty(o->write_kubeconfig_mode) },
        { "KubeConfigGroup", or_empty(o->write_kubeconfig_group) },
        { "KubeConfigName", or_empty(o->write_kubeconfig_name) },
        { "HelmJobImage", "" },
        { "ServiceLBNamespace", "kube-system" },
        { "JoinURL", "" },
        { "IPSECPSK", d->ipsec_psk },
        { "SystemDefaultRegistry", "" },
        { "ClusterResetRestorePath", "" },
        { "MinTLSVersion", "" },
        { "ServerNodeName", d->node_name },
        { "VModule", "" },
        { "BindAddress", or_empty(o->bind_address) },
        { "PrivateIP", d->private_ip },
    };
    const struct {
        const char *key;
        int64_t value;
    } ints[] = {
        { "AdvertisePort", advertise },
        { "HTTPSPort", o->https_listen_port },
        { "SupervisorPort", o->supervisor_port ? o->supervisor_port : o->https_listen_port },
        { "APIServerPort", o->https_listen_port + 1 },
        { "VLevel", 0 },
    };
    static const char *const nulls[] = { "CipherSuites",          "ExtraAPIArgs",
                                         "ExtraControllerArgs",   "ExtraCloudControllerArgs",
                                         "ExtraEtcdArgs",         "ExtraSchedulerArgs",
                                         "ExtraSchedulerAPIArgs", "ExtraHelmArgs" };

    for (size_t i = 0; i < ARRAY_LEN(bools); i++)
        json_object_set_new(doc, bools[i].key, json_boolean(bools[i].value));
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        json_object_set_new(doc, strings[i].key, json_string(or_empty(strings[i].value)));
    for (size_t i = 0; i < ARRAY_LEN(ints); i++)
        json_object_set_new(doc, ints[i].key, json_integer(ints[i].value));
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        json_object_set_new(doc, nulls[i], json_null());
    auto_free char *srv = mem_printf("%s/server", o->node.data_dir);
    auto_free char *storage = mem_printf("%s/storage", o->node.data_dir);
    json_object_set_new(doc, "DataDir", json_string(srv));
    json_object_set_new(doc, "DefaultLocalStoragePath", json_string(storage));
}

int config_doc_write(struct buf *out, const struct config_doc *d, struct err *e)
{
    json_auto_t *doc = json_object();
    json_t *sans = json_array();

    add_plain(doc, d);
    add_disabled(doc, d->o);
    json_object_set_new(doc, "SANs", sans);
    for (size_t i = 0; i < d->n_sans; i++)
        json_array_append_new(sans, json_string(d->sans[i]));
    if (add_ranges(doc, "ClusterIPRange", "ClusterIPRanges", &d->o->cluster_cidr, "cluster-cidr",
                   e) ||
        add_ranges(doc, "ServiceIPRange", "ServiceIPRanges", &d->o->service_cidr, "service-cidr",
                   e) ||
        add_dns(doc, d->o, e) || add_port_range(doc, d->o->service_node_port_range, e))
        return (int)e->code;
    if (json_write(out, doc) || buf_addc(out, '\n'))
        return err_set(e, ERR_LIMIT, "the agent config is too long");
    return 0;
}
