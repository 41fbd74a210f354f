#include "agent/boot/cluster_config.h"

#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "tunnel/authorizer.h"

#include <arpa/inet.h>
#include <stdio.h>

#define NODE_IPS_MAX 16

static void copy_text(char *out, size_t n, const json_t *doc, const char *key)
{
    snprintf(out, n, "%s", json_str_at(doc, key, ""));
}

/* The leading ones of a mask; -1 when ones come after a zero. */
static int mask_bits(const unsigned char *mask, size_t n)
{
    int bits = 0;

    while (bits < (int)n * 8 && mask[bits / 8] & 0x80 >> bits % 8)
        bits++;
    for (int i = bits; i < (int)n * 8; i++)
        if (mask[i / 8] & 0x80 >> i % 8)
            return -1;
    return bits;
}

/* Go's net.IPNet as encoding/json writes it: {"IP": "10.42.0.0", "Mask": base64 of its bytes}. */
static int add_cidr(struct cluster_config *c, const json_t *range, struct err *e)
{
    const char *ip = json_str_at(range, "IP", ""), *mask = json_str_at(range, "Mask", "");
    unsigned char bytes[16];
    bool v4 = inet_pton(AF_INET, ip, bytes) == 1;
    auto_buf b = BUF(sizeof bytes);
    int bits = -1;

    if ((v4 || inet_pton(AF_INET6, ip, bytes) == 1) && !base64_decode(&b, str_of(mask), false) &&
        b.n == (v4 ? 4u : 16u))
        bits = mask_bits((const unsigned char *)b.p, b.n);
    if (bits < 0)
        return err_set(e, ERR_INVALID,
                       "ClusterIPRanges: \"%.60s\" with mask \"%.40s\" is no network", ip, mask);
    if (c->n_cluster_cidrs == CLUSTER_CIDRS_MAX)
        return err_set(e, ERR_INVALID, "ClusterIPRanges: more than %d", CLUSTER_CIDRS_MAX);
    snprintf(c->cluster_cidrs[c->n_cluster_cidrs++], CLUSTER_CIDR_BYTES, "%.45s/%d", ip, bits);
    return 0;
}

static int read_ranges(struct cluster_config *c, const json_t *doc, struct err *e)
{
    const json_t *ranges = json_object_get(doc, "ClusterIPRanges"), *range;
    size_t i;

    if (!json_array_size(ranges)) /* servers before dual-stack knew one */
        return add_cidr(c, json_object_get(doc, "ClusterIPRange"), e);
    json_array_foreach(ranges, i, range) if (add_cidr(c, range, e)) return e->code;
    return 0;
}

static int read_egress(struct cluster_config *c, const json_t *doc, struct err *e)
{
    const char *text = json_str_at(doc, "EgressSelectorMode", "");
    enum tunnel_egress_mode mode = TUNNEL_EGRESS_AGENT;

    if (*text && tunnel_egress_mode_parse(&mode, str_of(text), e))
        return e->code;
    snprintf(c->egress_mode, sizeof c->egress_mode, "%s", *text ? text : "agent");
    return mode == TUNNEL_EGRESS_CLUSTER ? read_ranges(c, doc, e) : 0;
}

/* Not what the tunnels go by, so what cannot be read is left out. */
static void read_families(struct cluster_config *c, const json_t *doc)
{
    auto_free struct cluster_config *of_doc = mem_alloc(sizeof *of_doc);
    const char *texts[CLUSTER_CIDRS_MAX];
    struct err ignored;

    err_ignore(read_ranges(of_doc, doc, &ignored));
    for (size_t i = 0; i < of_doc->n_cluster_cidrs; i++)
        texts[i] = of_doc->cluster_cidrs[i];
    families_of(&c->pods, texts, of_doc->n_cluster_cidrs);
}

int cluster_config_parse(struct cluster_config *out, struct str body, struct err *e)
{
    struct cluster_config c = { 0 };
    json_auto_t *doc = NULL;
    int64_t https, supervisor;

    if (json_parse(&doc, body, e))
        return err_wrap(e, "the cluster's config");
    if (!json_is_object(doc))
        return err_set(e, ERR_INVALID, "the cluster's config is no JSON object");
    https = json_i64_at(doc, "HTTPSPort", 0);
    supervisor = json_i64_at(doc, "SupervisorPort", 0);
    if (https != supervisor) {
        if (https < 1 || https > 65535 || supervisor < 1 || supervisor > 65535)
            return err_set(
                e, ERR_INVALID,
                "the cluster's config: SupervisorPort %lld and HTTPSPort %lld differ, and "
                "one is no port",
                (long long)supervisor, (long long)https);
        c.https_port = (uint16_t)https;
        c.supervisor_port = (uint16_t)supervisor;
    }
    copy_text(c.cluster_dns, sizeof c.cluster_dns, doc, "ClusterDNS");
    copy_text(c.cluster_domain, sizeof c.cluster_domain, doc, "ClusterDomain");
    if (read_egress(&c, doc, e))
        return err_wrap(e, "the cluster's config");
    read_families(&c, doc);
    c.disable_ccm = json_bool_at(doc, "DisableCCM", false);
    *out = c;
    return 0;
}

int cluster_config_fits(const struct cluster_config *c, const char *node_ips, struct err *e)
{
    struct str rest = str_of(node_ips), one;
    char *texts[NODE_IPS_MAX] = { NULL };
    struct families node;
    bool fits;
    size_t n = 0;

    while (rest.n && n < NODE_IPS_MAX) {
        str_cut(rest, ',', &one, &rest);
        texts[n++] = str_dup(one);
    }
    families_of(&node, (const char *const *)texts, n);
    fits = families_has_all(&node, &c->pods);
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    return fits ? 0
                : err_set(e, ERR_INVALID,
                          "cluster-cidr: %.80s and node-ip: %.120s, must share the same IP version "
                          "(IPv4, IPv6 or dual-stack)",
                          c->pods.text, node.text);
}
