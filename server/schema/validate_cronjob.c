/* batch/v1 CronJobs: pkg/apis/batch/validation, ValidateCronJobCreate and -Update. */
#include "base/data/cron.h"
#include "base/data/zone.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

#include <strings.h>

enum { NAME_MAX_BYTES = 52 }; /* the controller appends "-" and ten digits to make a Job's name */

/* Behind "TZ=..." or "CRON_TZ=...", which are refused by themselves. */
static struct str without_zone(struct str schedule)
{
    struct str zone, rest;

    if (!str_starts(schedule, STR("TZ=")) && !str_starts(schedule, STR("CRON_TZ=")))
        return schedule;
    return str_cut(schedule, ' ', &zone, &rest) ? str_trim(rest) : STR("");
}

void batch_cron_job_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    const char *schedule = part_str(v, "schedule");
    const struct field_path *at = FIELD_AT(p, "schedule");
    struct cron c;
    struct err e;

    if (*schedule && cron_parse(&c, without_zone(str_of(schedule)), &e))
        field_invalid(fe, at, schedule, e.text);
    if (strstr(schedule, "TZ"))
        field_invalid(fe, at, schedule,
                      "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    rule_non_negative(v, "startingDeadlineSeconds", p, fe);
}

/* [A-Za-z\.\-_0-9+]{1,14} between slashes, no name begins with "-", none is "." or "..". */
static bool zone_form(const char *name)
{
    struct str part, rest = str_of(name);
    bool more = true;

    while (more) {
        more = str_cut(rest, '/', &part, &rest);
        if (part.n < 1 || part.n > 14 || *part.p == '-' || str_is(part, ".") ||
            str_is(part, "..") ||
            strspn(part.p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_0123456789+") <
                part.n)
            return false;
    }
    return true;
}

static void check_zone(const json_t *spec, struct field_errors *fe)
{
    const struct field_path *p = FIELD_AT(FIELD_AT(NULL, "spec"), "timeZone");
    const char *zone = part_str(spec, "timeZone");

    if (!rule_has(spec, "timeZone"))
        return;
    if (!*zone) {
        field_invalid(fe, p, zone, "timeZone must be nil or non-empty string");
        return;
    }
    auto_free char *why = mem_printf("unknown time zone %s", zone);
    if (strcasecmp(zone, "Local") == 0)
        field_invalid(fe, p, zone,
                      "timeZone must be an explicit time zone as defined in "
                      "https://www.iana.org/time-zones");
    if (strcmp(zone, "Local") != 0 && (!zone_form(zone) || !zone_exists(zone)))
        field_invalid(fe, p, zone, why);
}

void batch_cron_job_create(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const char *name = part_str(json_object_get(v, "metadata"), "name");

    (void)old;
    check_zone(json_object_get(v, "spec"), fe);
    if (strlen(name) > NAME_MAX_BYTES)
        field_invalid(fe, FIELD_AT(FIELD_AT(NULL, "metadata"), "name"), name,
                      "must be no more than 52 characters");
}

/* A zone that the machine has forgotten does not stop other changes. */
void batch_cron_job_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    const json_t *spec = json_object_get(v, "spec");

    if (!rule_same(json_object_get(spec, "timeZone"),
                   json_object_get(json_object_get(old, "spec"), "timeZone")))
        check_zone(spec, fe);
}
