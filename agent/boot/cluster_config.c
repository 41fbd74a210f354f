#include "agent/boot/cluster_config.h"

#include "base/data/json.h"

#include <stdio.h>

static void copy_text(char *out, size_t n, const json_t *doc, const char *key)
{
    snprintf(out, n, "%s", json_str_at(doc, key, ""));
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
    copy_text(c.egress_mode, sizeof c.egress_mode, doc, "EgressSelectorMode");
    if (strcmp(c.egress_mode, "pod") == 0 || strcmp(c.egress_mode, "cluster") == 0)
        return err_set(e, ERR_INVALID,
                       "the cluster's config: egress-selector-mode \"%s\" is not supported yet, only "
                       "agent and disabled",
                       c.egress_mode);
    c.disable_ccm = json_bool_at(doc, "DisableCCM", false);
    *out = c;
    return 0;
}
