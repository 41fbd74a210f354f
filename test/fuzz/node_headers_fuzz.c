#include "base/core/macros.h"
#include "base/kube/name.h"
#include "server/ca/ca.h"

#include <arpa/inet.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The headers that an agent sends: k3s-Node-Name, then a newline, then k3s-Node-IP. What is taken
 * as an address is one; a name is judged without reading past its end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char ips[CA_NODE_IPS_MAX][46];
    unsigned char bytes[16];
    struct str name, header;
    size_t n_ips = 0;
    struct err e;

    str_cut(str_n(data, n), '\n', &name, &header);
    name_check_subdomain(name);
    if (ca_parse_ips(header, ips, &n_ips, &e))
        return 0;
    if (n_ips > CA_NODE_IPS_MAX)
        abort();
    for (size_t i = 0; i < n_ips; i++)
        if (inet_pton(AF_INET, ips[i], bytes) != 1 && inet_pton(AF_INET6, ips[i], bytes) != 1)
            abort();
    return 0;
}
