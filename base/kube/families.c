#include "base/kube/families.h"

#include <stdio.h>
#include <string.h>

void families_of(struct families *out, const char *const *texts, size_t n)
{
    size_t at = 1;

    *out = (struct families){ .text = "[" };
    for (size_t i = 0; i < n; i++) {
        bool v6 = strchr(texts[i], ':') != NULL;

        out->v4 |= !v6;
        out->v6 |= v6;
        if (i == 0)
            out->first_v6 = v6;
        if (at < sizeof out->text - 1)
            at +=
                (size_t)snprintf(out->text + at, sizeof out->text - at, i ? " %s" : "%s", texts[i]);
    }
    if (at > sizeof out->text - 2)
        at = sizeof out->text - 2;
    memcpy(out->text + at, "]", 2);
}

bool families_dual(const struct families *f)
{
    return f->v4 && f->v6;
}

bool families_same(const struct families *a, const struct families *b)
{
    return a->v4 == b->v4 && a->v6 == b->v6 && a->first_v6 == b->first_v6;
}

bool families_has_all(const struct families *f, const struct families *needed)
{
    return (f->v4 || !needed->v4) && (f->v6 || !needed->v6);
}

static const char *first_of(const char *const *ips, size_t n, bool v6)
{
    for (size_t i = 0; i < n; i++)
        if ((strchr(ips[i], ':') != NULL) == v6)
            return ips[i];
    return NULL;
}

size_t families_pick(const char *out[2], const char *const *ips, size_t n, bool first_v6)
{
    size_t n_out = 0;

    for (size_t i = 0; i < 2; i++) {
        const char *ip = first_of(ips, n, i == 0 ? first_v6 : !first_v6);

        if (ip)
            out[n_out++] = ip;
    }
    return n_out;
}
