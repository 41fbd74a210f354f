#pragma once
/*
 * Status: the Kubernetes error document (meta/v1 Status), built and read.
 *
 * One table ties reason, HTTP code and enum err_code together. Wording is upstream's
 * (apimachinery/pkg/api/errors), because clients and tests match on it. Every builder returns a
 * new reference that the caller owns and never fails. group is "" for the core group. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <jansson.h>

enum status_reason {
    STATUS_BAD_REQUEST,
    STATUS_UNAUTHORIZED,
    STATUS_FORBIDDEN,
    STATUS_NOT_FOUND,
    STATUS_ALREADY_EXISTS,
    STATUS_CONFLICT,
    STATUS_EXPIRED, /* 410, "Expired": a resourceVersion or continue token that is too old */
    STATUS_GONE,
    STATUS_INVALID, /* 422 with causes */
    STATUS_METHOD_NOT_ALLOWED,
    STATUS_NOT_ACCEPTABLE,
    STATUS_UNSUPPORTED_MEDIA_TYPE,
    STATUS_REQUEST_TOO_LARGE,
    STATUS_TOO_MANY_REQUESTS,
    STATUS_TIMEOUT,        /* 504 */
    STATUS_SERVER_TIMEOUT, /* 500 with retryAfterSeconds */
    STATUS_SERVICE_UNAVAILABLE,
    STATUS_INTERNAL_ERROR,
    STATUS_BAD_GATEWAY, /* 502, reason "InternalError": the next hop failed */
    STATUS_REASONS_N,
};

int status_reason_code(enum status_reason r);         /* the HTTP code */
const char *status_reason_name(enum status_reason r); /* "NotFound" */
enum status_reason status_reason_of_err(enum err_code code);

/* A Failure with this message and no details. */
json_t *status_new(enum status_reason r, const char *fmt, ...) PRINTF_FMT(2, 3);
/* From an error of ours: the table picks the reason, the text is the message. */
json_t *status_of_err(const struct err *e);

/* `pods "x" not found` and its kin, with details. */
json_t *status_not_found(const char *group, const char *resource, const char *name);
json_t *status_already_exists(const char *group, const char *resource, const char *name);
/* why: NULL for "the object has been modified; please apply your changes to the latest version
 * and try again" */
json_t *status_conflict(const char *group, const char *resource, const char *name, const char *why);
json_t *status_forbidden(const char *group, const char *resource, const char *name,
                         const char *why);
/* causes: an array of {"reason","message","field"}, borrowed. The message is upstream's aggregate:
 * `Pod "x" is invalid: spec.a: Required value` or `[a, b]` for several. */
json_t *status_invalid(const char *group, const char *kind, const char *name, const json_t *causes);
/* Appends one cause: reason "FieldValueRequired", message "Required value". causes is an array;
 * field may be "". */
void status_cause_add(json_t *causes, const char *reason, const char *field, const char *fmt, ...)
    PRINTF_FMT(4, 5);
json_t *status_method_not_allowed(const char *group, const char *resource, const char *verb);
json_t *status_path_not_found(void); /* the server could not find the requested resource */
json_t *status_too_many_requests(const char *message, int retry_after_s); /* 0: it says nothing */
/* Success, as DELETE answers for an object that is gone. */
json_t *status_deleted(const char *group, const char *resource, const char *name, const char *uid);

int status_code(const json_t *status); /* 500 when it has none */
/* What a client may do about an answer: by reason (may be NULL), else by code. */
enum err_code status_err_code(const char *reason, int http_code);
