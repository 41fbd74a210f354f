#include "server/resource/pod_amounts.h"

#include "base/data/json.h"
#include "base/kube/quantity.h"

#include <string.h>

static struct quantity amount(const json_t *map, const char *name)
{
    const char *s = json_string_value(json_object_get(map, name)); /* no path: names have dots */
    struct quantity q;
    struct err e;

    if (!s || quantity_parse(&q, str_of(s), &e))
        q = quantity_of(0, QUANTITY_DECIMAL_SI);
    return q;
}

static void put(json_t *to, const char *name, const struct quantity *q)
{
    char text[QUANTITY_TEXT_MAX];

    quantity_print(text, q);
    json_object_set_new(to, name, json_string(text));
}

/* Absent counts as zero, but takes the form of the other. */
static void add(json_t *to, const json_t *from)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)from, name, v)
    {
        struct quantity more = amount(from, name), sum = amount(to, name);
        sum = json_object_get(to, name) ? quantity_add(sum, &more) : more;
        put(to, name, &sum);
    }
}

static void raise_to(json_t *to, const json_t *from)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)from, name, v)
    {
        struct quantity a = amount(from, name), b = amount(to, name);
        if (!json_object_get(to, name) || quantity_cmp(&a, &b) > 0)
            put(to, name, &a);
    }
}

json_t *pod_amounts(const json_t *spec, const char *key)
{
    json_t *total = json_object(), *c;
    json_auto_t *sidecars = json_object(), *highest = json_object();
    size_t i;

    json_array_foreach(json_object_get(spec, "containers"), i, c)
        add(total, json_object_get(json_object_get(c, "resources"), key));
    json_array_foreach(json_object_get(spec, "initContainers"), i, c)
    {
        const json_t *own = json_object_get(json_object_get(c, "resources"), key);
        if (strcmp(json_str_at(c, "restartPolicy", ""), "Always") == 0) {
            add(sidecars, own);
            add(total, own);
            raise_to(highest, sidecars);
            continue;
        }
        json_auto_t *now = json_deep_copy(sidecars); /* beside those that were started before it */
        add(now, own);
        raise_to(highest, now);
    }
    raise_to(total, highest);
    return total;
}
