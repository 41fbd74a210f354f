#include "base/core/macros.h"
#include "base/data/yaml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Every document of a stream is JSON that can be written, as JSON and as YAML, and read again; the
 * walk ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t at = 0, before;
    struct err e;

    for (;;) {
        json_auto_t *doc = NULL, *again = NULL, *yaml = NULL;
        auto_buf text = BUF(64 << 20);

        before = at;
        if (yaml_parse_next(&doc, str_n(data, n), &at, &e) || !doc)
            return 0;
        if (at <= before || at > n)
            abort();
        if (json_write(&text, doc))
            continue; /* aliases make it larger than its text */
        if (json_parse(&again, buf_str(&text), &e) || !json_equal(doc, again))
            abort();
        buf_clear(&text);
        if (yaml_write(&text, doc))
            continue;
        int rc = yaml_parse(&yaml, buf_str(&text), &e);
        if (rc ? rc != ERR_LIMIT : !json_equal(doc, yaml)) /* a text at the bound of nodes */
            abort();
    }
}
