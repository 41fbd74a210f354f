#include "server/auth/expired_node.h"

#include "base/kube/name.h"
#include "base/pki/x509.h"

#include <string.h>

static const char prefix[] = "system:node:";

static bool is_valid_at(const struct x509 *x, int64_t at)
{
    return x->not_before_unix_s <= at && at <= x->not_after_unix_s;
}

/* Of the CAs only the leaf's end is overlooked: they must be valid today. */
static int check_chain(const struct x509 *leaf, struct str client_ca_pem, int64_t now,
                       struct err *e)
{
    auto_x509_list cas = { 0 };
    bool signed_today = false;

    if (x509_list_parse_pem(&cas, client_ca_pem, e))
        return err_wrap(e, "client CA");
    for (size_t i = 0; i < cas.n; i++)
        signed_today |=
            cas.v[i]->is_ca && is_valid_at(cas.v[i], now) && x509_signed_by(leaf, cas.v[i]);
    if (!signed_today)
        return err_set(e, ERR_DENIED, "it is of no client CA of this cluster that is valid now");
    return x509_verify(leaf, NULL, &cas, leaf->not_after_unix_s - 1, X509_CLIENT, e);
}

int expired_node_check(char node[EXPIRED_NODE_NAME_BYTES], struct str leaf_der,
                       struct str client_ca_pem, int64_t now_unix_s, struct err *e)
{
    AUTO(x509) struct x509 *leaf = NULL;
    const char *name;

    if (x509_parse_der(&leaf, leaf_der, e))
        return (int)e->code;
    if (now_unix_s <= leaf->not_after_unix_s)
        return err_set(e, ERR_DENIED, "it has not expired");
    if (leaf->n_organizations != 1 || strcmp(leaf->organizations[0], "system:nodes") != 0 ||
        strncmp(leaf->common_name, prefix, sizeof prefix - 1) != 0)
        return err_set(e, ERR_DENIED, "it is not a node's: %s", leaf->subject);
    name = leaf->common_name + sizeof prefix - 1;
    if (strlen(name) >= EXPIRED_NODE_NAME_BYTES || name_check_subdomain(str_of(name)))
        return err_set(e, ERR_DENIED, "it names no node: %s", leaf->subject);
    if (check_chain(leaf, client_ca_pem, now_unix_s, e))
        return (int)e->code;
    memcpy(node, name, strlen(name) + 1);
    return 0;
}
