#include "server/store/etcd_mark.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/io/digest.h"

#include <inttypes.h>
#include <stdio.h>

void etcd_marks_init(struct etcd_marks *m, const char *writer)
{
    unsigned char digest[32];
    char name[33];

    *m = (struct etcd_marks){ .nonce = rand_u64() };
    if (writer && *writer) {
        digest_sha256(digest, str_of(writer)); /* names may have any length and bytes */
        str_hex(name, digest, 16);
    } else {
        rand_hex(name, 16);
    }
    snprintf(m->prefix, sizeof m->prefix, "coracle/writes/%s", name);
}

void etcd_marks_deinit(struct etcd_marks *m)
{
    free(m->mod_revs);
    free(m->busy);
    m->mod_revs = NULL;
    m->busy = NULL;
}

void etcd_mark_take(struct etcd_marks *m, struct etcd_mark *k)
{
    size_t at = 0;

    while (at < m->n && m->busy[at])
        at++;
    if (at == m->n) {
        m->n = m->n ? 2 * m->n : 16;
        m->mod_revs = mem_realloc(m->mod_revs, m->n * sizeof *m->mod_revs);
        m->busy = mem_realloc(m->busy, m->n * sizeof *m->busy);
        for (size_t i = at; i < m->n; i++) {
            m->mod_revs[i] = 0;
            m->busy[i] = false;
        }
    }
    m->busy[at] = true;
    *k = (struct etcd_mark){ .taken = true, .slot = at, .mod_rev = m->mod_revs[at] };
    snprintf(k->key, sizeof k->key, "%s/%zu", m->prefix, at);
    snprintf(k->value, sizeof k->value, "%016" PRIx64 "-%" PRIu64, m->nonce, ++m->seq);
}

void etcd_mark_give(struct etcd_marks *m, struct etcd_mark *k)
{
    if (!k->taken)
        return;
    m->mod_revs[k->slot] = k->mod_rev;
    m->busy[k->slot] = false;
    k->taken = false;
}
