#include "base/kube/status.h"

#include "base/core/buf.h"
#include "base/core/mem.h"

#include <stdarg.h>

/* apimachinery/pkg/apis/meta/v1/types.go, StatusReason, and the codes of api/errors. The err column
 * is what a client may do about it. */
static const struct {
    const char *name;
    int code;
    enum err_code err;
} REASONS[STATUS_REASONS_N] = {
    [STATUS_BAD_REQUEST] = { "BadRequest", 400, ERR_INVALID },
    [STATUS_UNAUTHORIZED] = { "Unauthorized", 401, ERR_DENIED },
    [STATUS_FORBIDDEN] = { "Forbidden", 403, ERR_DENIED },
    [STATUS_NOT_FOUND] = { "NotFound", 404, ERR_NOT_FOUND },
    [STATUS_ALREADY_EXISTS] = { "AlreadyExists", 409, ERR_EXISTS },
    [STATUS_CONFLICT] = { "Conflict", 409, ERR_CONFLICT },
    [STATUS_EXPIRED] = { "Expired", 410, ERR_EXPIRED },
    [STATUS_GONE] = { "Gone", 410, ERR_EXPIRED },
    [STATUS_INVALID] = { "Invalid", 422, ERR_INVALID },
    [STATUS_METHOD_NOT_ALLOWED] = { "MethodNotAllowed", 405, ERR_INVALID },
    [STATUS_NOT_ACCEPTABLE] = { "NotAcceptable", 406, ERR_INVALID },
    [STATUS_UNSUPPORTED_MEDIA_TYPE] = { "UnsupportedMediaType", 415, ERR_INVALID },
    [STATUS_REQUEST_TOO_LARGE] = { "RequestEntityTooLarge", 413, ERR_LIMIT },
    [STATUS_TOO_MANY_REQUESTS] = { "TooManyRequests", 429, ERR_AGAIN },
    [STATUS_TIMEOUT] = { "Timeout", 504, ERR_TIMEOUT },
    [STATUS_SERVER_TIMEOUT] = { "ServerTimeout", 500, ERR_AGAIN },
    [STATUS_SERVICE_UNAVAILABLE] = { "ServiceUnavailable", 503, ERR_AGAIN },
    [STATUS_INTERNAL_ERROR] = { "InternalError", 500, ERR_IO },
    [STATUS_BAD_GATEWAY] = { "InternalError", 502, ERR_IO },
};

int status_reason_code(enum status_reason r)
{
    return REASONS[r].code;
}

const char *status_reason_name(enum status_reason r)
{
    return REASONS[r].name;
}

enum status_reason status_reason_of_err(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
        return STATUS_BAD_REQUEST;
    case ERR_NOT_FOUND:
        return STATUS_NOT_FOUND;
    case ERR_EXISTS:
        return STATUS_ALREADY_EXISTS;
    case ERR_CONFLICT:
        return STATUS_CONFLICT;
    case ERR_EXPIRED:
        return STATUS_EXPIRED;
    case ERR_DENIED:
        return STATUS_FORBIDDEN;
    case ERR_LIMIT:
        return STATUS_REQUEST_TOO_LARGE;
    case ERR_AGAIN:
        return STATUS_TOO_MANY_REQUESTS;
    case ERR_TIMEOUT:
        return STATUS_TIMEOUT;
    case ERR_CANCELED: /* only our own shutdown cancels */
    case ERR_CLOSED:   /* who we need for it is not there, so nothing was done */
        return STATUS_SERVICE_UNAVAILABLE;
    case ERR_OK:
    case ERR_PROTOCOL:
    case ERR_IO:
        break;
    }
    return STATUS_INTERNAL_ERROR;
}

/* ---- building ---- */

static json_t *text_of(const char *s)
{
    // cppcheck-suppress ctunullpointer ; who calls with what may be NULL asks before
    size_t n = strlen(s);
    json_t *j = json_stringn(s, n);

    if (j)
        return j;
    char *ascii = mem_strndup(s, n); /* not UTF-8: a peer's bytes; keep what is ASCII */
    for (char *p = ascii; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    j = json_string(ascii);
    free(ascii);
    return j;
}

static json_t *build(bool failure, enum status_reason r, const char *message)
{
    json_t *s = json_object();

    json_object_set_new(s, "kind", json_string("Status"));
    json_object_set_new(s, "apiVersion", json_string("v1"));
    json_object_set_new(s, "metadata", json_object());
    json_object_set_new(s, "status", json_string(failure ? "Failure" : "Success"));
    if (failure) {
        json_object_set_new(s, "message", text_of(message));
        json_object_set_new(s, "reason", json_string(REASONS[r].name));
        json_object_set_new(s, "code", json_integer(REASONS[r].code));
    }
    return s;
}

/* kind: what upstream puts there, which is the resource in most errors and the kind in Invalid */
static json_t *details(const char *name, const char *group, const char *kind)
{
    json_t *d = json_object();

    if (name && *name)
        json_object_set_new(d, "name", text_of(name));
    if (group && *group)
        json_object_set_new(d, "group", text_of(group));
    if (kind && *kind)
        json_object_set_new(d, "kind", text_of(kind));
    return d;
}

/* Puts details before code, the order in which upstream's struct has them. */
static json_t *with_details(json_t *s, json_t *d_take)
{
    json_t *code = json_incref(json_object_get(s, "code"));

    json_object_del(s, "code");
    json_object_set_new(s, "details", d_take);
    if (code)
        json_object_set_new(s, "code", code);
    return s;
}

json_t *status_new(enum status_reason r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    json_t *s = build(true, r, text);
    free(text);
    return s;
}

json_t *status_of_err(const struct err *e)
{
    return build(true, status_reason_of_err(e->code), e->text);
}

/* "pods" or "deployments.apps" (schema.GroupResource.String) */
static char *group_resource(const char *group, const char *resource)
{
    return group && *group ? mem_printf("%s.%s", resource, group) : mem_strdup(resource);
}

/* details.causes for reasons that carry the name of a thing */
static json_t *about(enum status_reason r, const char *group, const char *resource,
                     const char *name, const char *message)
{
    return with_details(build(true, r, message), details(name, group, resource));
}

json_t *status_not_found(const char *group, const char *resource, const char *name)
{
    auto_free char *gr = group_resource(group, resource);
    auto_free char *m = mem_printf("%s \"%s\" not found", gr, name);

    return about(STATUS_NOT_FOUND, group, resource, name, m);
}

json_t *status_already_exists(const char *group, const char *resource, const char *name)
{
    auto_free char *gr = group_resource(group, resource);
    auto_free char *m = mem_printf("%s \"%s\" already exists", gr, name);

    return about(STATUS_ALREADY_EXISTS, group, resource, name, m);
}

json_t *status_conflict(const char *group, const char *resource, const char *name, const char *why)
{
    auto_free char *gr = group_resource(group, resource);
    auto_free char *m = mem_printf(
        "Operation cannot be fulfilled on %s \"%s\": %s", gr, name,
        why ? why
            : "the object has been modified; please apply your changes to the latest version and "
              "try again");

    return about(STATUS_CONFLICT, group, resource, name, m);
}

json_t *status_forbidden(const char *group, const char *resource, const char *name, const char *why)
{
    auto_free char *gr = group_resource(group, resource);
    auto_free char *m = *resource && *name ? mem_printf("%s \"%s\" is forbidden: %s", gr, name, why)
                        : *resource        ? mem_printf("%s is forbidden: %s", gr, why)
                                           : mem_printf("forbidden: %s", why);

    return about(STATUS_FORBIDDEN, group, resource, name, m);
}

void status_cause_add(json_t *causes, const char *reason, const char *field, const char *fmt, ...)
{
    va_list ap;
    json_t *c = json_object();

    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    json_object_set_new(c, "reason", json_string(reason));
    json_object_set_new(c, "message", text_of(text));
    if (*field)
        json_object_set_new(c, "field", text_of(field));
    json_array_append_new(causes, c);
    free(text);
}

#define CAUSES_TEXT_MAX (64 * 1024) /* a body of 3 MiB can have very many wrong fields */

json_t *status_invalid(const char *group, const char *kind, const char *name, const json_t *causes)
{
    auto_free char *gk = group_resource(group, kind);
    auto_buf all = BUF(CAUSES_TEXT_MAX);
    size_t i, n = json_array_size(causes);
    json_t *c;

    json_array_foreach(causes, i, c)
    {
        const char *field = json_string_value(json_object_get(c, "field"));
        const char *message = json_string_value(json_object_get(c, "message"));

        if (buf_addf(&all, "%s%s: %s", i ? ", " : "", field, message)) {
            err_ignore(buf_adds(&all, ", ...")); /* the details still hold every cause */
            break;
        }
    }
    auto_free char *m =
        mem_printf(n > 1 ? "%s \"%s\" is invalid: [%s]" : "%s \"%s\" is invalid: %s", gk, name,
                   buf_cstr(&all));
    json_t *d = details(name, group, kind);
    json_object_set_new(d, "causes", json_deep_copy(causes));
    return with_details(build(true, STATUS_INVALID, m), d);
}

json_t *status_method_not_allowed(const char *group, const char *resource, const char *verb)
{
    auto_free char *gr = group_resource(group, resource);
    auto_free char *m =
        *resource ? mem_printf("%s is not supported on resources of kind \"%s\"", verb, gr)
                  : mem_strdup("the server does not allow this method on the requested resource");

    return about(STATUS_METHOD_NOT_ALLOWED, group, resource, "", m);
}

json_t *status_path_not_found(void)
{
    return with_details(
        build(true, STATUS_NOT_FOUND, "the server could not find the requested resource"),
        json_object());
}

json_t *status_too_many_requests(const char *message, int retry_after_s)
{
    json_t *d = json_object();

    if (retry_after_s > 0)
        json_object_set_new(d, "retryAfterSeconds", json_integer(retry_after_s));
    return with_details(build(true, STATUS_TOO_MANY_REQUESTS, message), d);
}

json_t *status_deleted(const char *group, const char *resource, const char *name, const char *uid)
{
    json_t *d = details(name, group, resource);

    if (uid && *uid)
        json_object_set_new(d, "uid", text_of(uid));
    return with_details(build(false, STATUS_REASONS_N, NULL), d);
}

/* ---- reading ---- */

int status_code(const json_t *status)
{
    json_int_t code = json_integer_value(json_object_get(status, "code"));

    if (code >= 100 && code <= 599)
        return (int)code;
    const char *s = json_string_value(json_object_get(status, "status"));
    return s && strcmp(s, "Success") == 0 ? 200 : 500;
}

enum err_code status_err_code(const char *reason, int http_code)
{
    for (size_t i = 0; reason && i < STATUS_REASONS_N; i++)
        if (strcmp(REASONS[i].name, reason) == 0)
            return REASONS[i].err;
    for (size_t i = 0; i < STATUS_REASONS_N; i++)
        if (REASONS[i].code == http_code && http_code != 409) /* 409 has two meanings */
            return REASONS[i].err;
    return http_code == 409 ? ERR_CONFLICT : http_code >= 500 ? ERR_IO : ERR_PROTOCOL;
}
