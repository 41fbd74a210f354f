#include "base/core/macros.h"
#include "base/kube/node_report.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

/* An agent's report: what parses prints, and prints to the same; nothing in it reaches a terminal
 * as a control character. */
int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    struct node_report r, again;
    auto_buf body = BUF(NODE_REPORT_MAX_BYTES);
    struct err e;

    if (node_report_parse(&r, str_n(p, n), &e))
        return 0;
    for (size_t i = 0; i < r.n_spells; i++)
        for (const char *c = r.spells[i].text; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                abort();
    if (node_report_write(&body, &r) || node_report_parse(&again, buf_str(&body), &e) ||
        memcmp(&r, &again, sizeof r))
        abort();
    return 0;
}
