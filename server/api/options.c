#include "server/api/options.h"

#include "base/core/mem.h"
#include "base/kube/status.h"

#define EXACT "Exact"
#define NEWER "NotOlderThan"

/* "" is fine too */
static const char *const VALIDATIONS[] = { "", "Ignore", "Strict", "Warn", NULL };

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static void bad_request(struct api_req *r, const char *text)
{
    req_status(r, status_new(STATUS_BAD_REQUEST, "%s", text));
}

/* `resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax` */
static void add_bad_version(struct field_errors *fe, const struct params *p)
{
    auto_free char *why = mem_printf("strconv.ParseUint: parsing \"%.128s\": %s",
                                     p->bad_resource_version, p->bad_resource_why);

    field_invalid(fe, FIELD_AT(NULL, "resourceVersion"), p->bad_resource_version, why);
}

/* Of gets and lists; watches have an answer of their own. False: answered. */
static bool check_version(struct api_req *r)
{
    auto_field_errors fe = { 0 };

    if (!*r->params.bad_resource_version)
        return true;
    add_bad_version(&fe, &r->params);
    auto_free char *text = field_errors_text(&fe);
    req_status(r, status_new(STATUS_BAD_REQUEST, "invalid resource version: %s", text));
    return false;
}

static bool check_table(struct api_req *r)
{
    enum table_include include;

    if (r->accept.as != ACCEPT_TABLE ||
        table_include_of(&include, str_of(r->params.include_object)))
        return true;
    req_status(r, status_new(STATUS_BAD_REQUEST,
                             "Unable to convert to Table as requested: includeObject: Invalid "
                             "value: \"%.128s\": must be 'Metadata', 'Object', 'None', or empty",
                             r->params.include_object));
    return false;
}

static bool invalid(struct api_req *r, const char *kind, const struct field_errors *fe)
{
    if (!fe->n)
        return true;
    req_invalid_as(r, "meta.k8s.io", kind, "", fe);
    return false;
}

static bool check_list(struct api_req *r)
{
    static const char *const matches[] = { EXACT, NEWER, "", NULL };
    const struct params *p = &r->params;
    const struct field_path *at = FIELD_AT(NULL, "resourceVersionMatch");
    const char *match = p->resource_version_match;
    bool is_set = p->has_resource_version;
    auto_field_errors fe = { 0 };

    if (*match && !is_set)
        field_forbidden(&fe, at,
                        "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (*match && *p->continue_)
        field_forbidden(&fe, at, "resourceVersionMatch is forbidden when continue is provided");
    if (*match && !is_one_of(match, matches))
        field_not_supported(&fe, at, match, matches);
    if (strcmp(match, EXACT) == 0 && is_set && p->resource_version == 0 &&
        !*p->bad_resource_version)
        field_forbidden(&fe, at,
                        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    if (p->has_send_initial_events)
        field_forbidden(&fe, FIELD_AT(NULL, "sendInitialEvents"),
                        "sendInitialEvents is forbidden for list");
    if (!invalid(r, "ListOptions", &fe))
        return false;
    if (*p->continue_ && is_set && (p->resource_version || *p->bad_resource_version)) {
        bad_request(r, "specifying resource version is not allowed when using continue");
        return false;
    }
    return check_version(r);
}

static bool check_watch(struct api_req *r)
{
    static const char *const matches[] = { NEWER, NULL };
    const struct params *p = &r->params;
    const struct field_path *at = FIELD_AT(NULL, "resourceVersionMatch");
    const char *match = p->resource_version_match;
    auto_field_errors fe = { 0 }, version = { 0 };

    if (p->has_send_initial_events && strcmp(match, NEWER) != 0)
        field_forbidden(&fe, at,
                        "sendInitialEvents requires setting resourceVersionMatch to " NEWER);
    if (*match && !p->has_send_initial_events)
        field_forbidden(
            &fe, at,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (*match && strcmp(match, NEWER) != 0)
        field_not_supported(&fe, at, match, matches);
    if (*match && *p->continue_)
        field_forbidden(&fe, at, "resourceVersionMatch is forbidden when continue is provided");
    if (!invalid(r, "ListOptions", &fe))
        return false;
    if (!*p->bad_resource_version)
        return true;
    add_bad_version(&version, p);
    req_invalid_as(r, r->kind->group, r->kind->plural, "", &version);
    return false;
}

static bool check_write(struct api_req *r, const char *kind)
{
    const struct params *p = &r->params;
    auto_field_errors fe = { 0 };

    if (p->bad_dry_run)
        field_add(&fe, FIELD_NOT_SUPPORTED, FIELD_AT(NULL, "dryRun"),
                  "Unsupported value: []string{\"%.128s\"}: supported values: \"All\"",
                  p->bad_dry_run);
    if (r->verb <= VERB_PATCH && !is_one_of(p->field_validation, VALIDATIONS))
        field_not_supported(&fe, FIELD_AT(NULL, "fieldValidation"), p->field_validation,
                            VALIDATIONS);
    return invalid(r, kind, &fe);
}

bool options_check(struct api_req *r)
{
    const struct params *p = &r->params;
    bool lists = r->verb == VERB_LIST || r->verb == VERB_WATCH || r->verb == VERB_DELETECOLLECTION;

    if (*p->bad_timeout && r->verb != VERB_WATCH) {
        bad_request(r, p->bad_timeout);
        return false;
    }
    if (lists && *p->bad_list) {
        bad_request(r, p->bad_list);
        return false;
    }
    switch (r->verb) {
    case VERB_GET:
        return check_table(r) && check_version(r);
    case VERB_LIST:
        return check_table(r) && check_list(r);
    case VERB_WATCH:
        return check_table(r) && check_watch(r);
    case VERB_CREATE:
        return check_table(r) && check_write(r, "CreateOptions");
    case VERB_UPDATE:
        return check_table(r) && check_write(r, "UpdateOptions");
    case VERB_PATCH:
        return check_table(r) && check_write(r, "PatchOptions");
    case VERB_DELETE:
    case VERB_DELETECOLLECTION:
        if (*p->bad_delete) {
            bad_request(r, p->bad_delete);
            return false;
        }
        return check_table(r) && check_write(r, "DeleteOptions");
    case VERB_CONNECT:
    case VERBS_N:
        break;
    }
    return true;
}
