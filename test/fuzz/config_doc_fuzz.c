#include "base/core/macros.h"
#include "base/data/json.h"
#include "server/boot/config_doc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Networks as an operator types them: line by line cluster CIDR, service CIDR, DNS, ports. Either
 * refused, or a document that is JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *line[4];
    struct str rest = str_n(data, n), one;
    auto_buf out = BUF(65536);
    json_auto_t *doc = NULL;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(line); i++) {
        str_cut(rest, '\n', &one, &rest);
        line[i] = str_dup(one);
    }
    struct server_options o = { .node.data_dir = (char[]){ "/d" },
                                .cluster_cidr = { &line[0], 1 },
                                .service_cidr = { &line[1], 1 },
                                .cluster_dns = { &line[2], line[2][0] != '\0' },
                                .service_node_port_range = line[3],
                                .egress_selector_mode = (char[]){ "agent" } };
    struct config_doc d = {
        .o = &o, .node_name = "n", .advertise_ip = "", .private_ip = "", .ipsec_psk = ""
    };
    if (config_doc_write(&out, &d, &e) == 0 && json_parse_strict(&doc, buf_str(&out), &e))
        abort();
    for (size_t i = 0; i < ARRAY_LEN(line); i++)
        free(line[i]);
    return 0;
}
