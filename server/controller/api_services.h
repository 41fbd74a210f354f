#pragma once
/* Api services: one APIService object for each group and version that this server answers. */
#include "server/schema/schema.h"

#include <jansson.h>

/* "v1.apps" as version and group; the core group's "v1." ends with the dot. False: no such name. */
MUST_USE bool api_service_name_parse(struct str *version, struct str *group, const char *name);

/* What the object of that name should be; new. NULL: none of ours (not served, or
 * apiregistration.k8s.io, which upstream leaves out). */
json_t *api_service_wanted(const struct schema *s, const char *name);

enum api_service_step {
    API_SERVICE_LEAVE,
    API_SERVICE_CREATE,
    API_SERVICE_UPDATE, /* spec is not what it should be */
    API_SERVICE_DELETE,
};
/* now, wanted: NULL for none. Objects without our label are somebody else's. */
enum api_service_step api_service_step(const json_t *now, const json_t *wanted);
