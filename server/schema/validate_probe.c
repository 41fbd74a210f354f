/* Probes and lifecycle hooks: validateProbe, validateHandler, validateLifecycle. */
#include "server/schema/validate_check.h"
#include "server/schema/validate_container.h"

#include <inttypes.h>
#include <stdio.h>

static const char *http_header_problem(const char *s)
{
    const char *why = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
                      "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";

    for (const char *c = s; *c; c++)
        if (!(*c == '-' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
              (*c >= 'A' && *c <= 'Z')))
            return why;
    return *s ? NULL : why;
}

static void check_http_get(struct field_errors *fe, const struct field_path *p, const json_t *v)
{
    json_t *header;
    size_t i;

    (void)check_port_or_name(fe, FIELD_AT(p, "port"), part(v, "port"));
    json_array_foreach(part(v, "httpHeaders"), i, header)
    {
        const char *name = part_str(header, "name");
        (void)check_text(fe, FIELD_AT(p, "httpHeaders"), name, http_header_problem(name));
    }
}

static void check_sleep(struct field_errors *fe, const struct field_path *p, const json_t *v,
                        const json_t *grace_s)
{
    int64_t s = part_int(v, "seconds"), max = json_integer_value(grace_s);
    char why[192];

    if (!grace_s || (s > 0 && s <= max))
        return;
    snprintf(why, sizeof why,
             "must be greater than 0 and less than terminationGracePeriodSeconds (%" PRId64
             "). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep.",
             max);
    field_invalid_int(fe, p, s, why);
}

static void check_handler(struct field_errors *fe, const struct field_path *p, const json_t *v,
                          const json_t *grace_s)
{
    static const char *const kinds[] = { "exec", "httpGet", "tcpSocket", "grpc", "sleep" };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct field_path *at = FIELD_AT(p, kinds[i]);
        const json_t *action = part(v, kinds[i]);
        if (!action)
            continue;
        if (n++)
            field_forbidden(fe, at, "may not specify more than 1 handler type");
        else if (i == 0)
            (void)check_has(fe, at, action, "command");
        else if (i == 1)
            check_http_get(fe, at, action);
        else if (i == 2)
            (void)check_port_or_name(fe, FIELD_AT(at, "port"), part(action, "port"));
        else if (i == 4)
            check_sleep(fe, at, action, grace_s);
    }
    if (!n)
        field_required(fe, p, "must specify a handler type");
}

void check_lifecycle(struct field_errors *fe, const struct field_path *p, const json_t *lifecycle,
                     const json_t *grace_s)
{
    static const char *const hooks[] = { "postStart", "preStop" };

    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        if (part(lifecycle, hooks[i]))
            check_handler(fe, FIELD_AT(p, hooks[i]), part(lifecycle, hooks[i]), grace_s);
}

void check_probe(struct field_errors *fe, const struct field_path *p, const json_t *c,
                 const char *key)
{
    const json_t *probe = part(c, key), *grace = part(probe, "terminationGracePeriodSeconds");
    const struct field_path *at = FIELD_AT(p, key);
    bool readiness = strcmp(key, "readinessProbe") == 0;

    if (!probe)
        return;
    check_handler(fe, at, probe, NULL);
    if (grace && json_integer_value(grace) <= 0)
        field_invalid_json(fe, FIELD_AT(at, "terminationGracePeriodSeconds"), grace,
                           "must be greater than 0");
    if (readiness && grace)
        field_invalid_json(fe, FIELD_AT(at, "terminationGracePeriodSeconds"), grace,
                           "must not be set for readinessProbes");
    if (!readiness && part_int(probe, "successThreshold") != 1)
        field_invalid_int(fe, FIELD_AT(at, "successThreshold"), part_int(probe, "successThreshold"),
                          "must be 1");
}
