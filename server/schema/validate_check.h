#pragma once
/*
 * Validate check: the small words that the rules of the kinds are written in: readers of a JSON
 * object that never fail, and checks of one value that add upstream's sentence to a list of errors
 * (k8s.io/apimachinery pkg/util/validation and pkg/apis/meta/v1/validation, release 1.32). A check
 * answers true when the value is fine. For validate*.c. Any thread.
 */
#include "base/core/map.h"
#include "base/kube/quantity.h"
#include "server/schema/field_error.h"

/* ---- reading; everything borrows ---- */

json_t *part(const json_t *v, const char *key);         /* NULL when absent */
const char *part_str(const json_t *v, const char *key); /* "" when absent or no string */
int64_t part_int(const json_t *v, const char *key);     /* 0 */
bool part_true(const json_t *v, const char *key);       /* false */
bool part_false(const json_t *v, const char *key);      /* is there, and is false */
bool part_is(const json_t *v, const char *key, const char *value);
bool part_same(const json_t *a, const json_t *b); /* equal, or absent in both */
bool text_starts(const char *s, const char *prefix);
bool text_listed(const char *const *list, const char *s); /* list ends with NULL */
/* The quantity at key; false when it is absent or none. */
bool part_quantity(struct quantity *out, const json_t *v, const char *key);

/* Puts a name into a set: false when it was there. The set is a map whose values say nothing. */
bool name_set_add(struct map *set, const char *name);
bool name_set_has(const struct map *set, const char *name);

/* ---- adding ---- */

void field_invalid_int(struct field_errors *fe, const struct field_path *p, int64_t value,
                       const char *detail);
/* A list of strings is printed as Go prints it: []string{"a", "b"}. type: "string". */
void field_invalid_list(struct field_errors *fe, const struct field_path *p, const char *type,
                        const json_t *list, const char *detail);

/* ---- checking ---- */

/* why: NULL for fine, else the sentence (name_check_*). */
bool check_text(struct field_errors *fe, const struct field_path *p, const char *value,
                const char *why);
bool check_label(struct field_errors *fe, const struct field_path *p, const char *value);
bool check_subdomain(struct field_errors *fe, const struct field_path *p, const char *value);
bool check_qualified(struct field_errors *fe, const struct field_path *p, const char *value);
/* Required when empty, else a subdomain. */
bool check_reference(struct field_errors *fe, const struct field_path *p, const char *value);
bool check_ip(struct field_errors *fe, const struct field_path *p, const char *value);
bool check_cidr(struct field_errors *fe, const struct field_path *p, const char *value);
/* An address that others may reach: no loopback, link-local or unspecified one. */
bool check_plain_ip(struct field_errors *fe, const struct field_path *p, const char *value);
bool check_range(struct field_errors *fe, const struct field_path *p, int64_t value, int64_t min,
                 int64_t max);
bool check_port(struct field_errors *fe, const struct field_path *p, int64_t value);
/* An IANA service name (RFC 6335 5.1): all that is wrong with it. */
bool check_port_name(struct field_errors *fe, const struct field_path *p, const char *value);
/* An intOrString: a port number or an IANA name. */
bool check_port_or_name(struct field_errors *fe, const struct field_path *p, const json_t *value);
bool check_non_negative(struct field_errors *fe, const struct field_path *p, int64_t value);
/* The value is one of list (NULL at its end), else "Unsupported value". */
bool check_listed(struct field_errors *fe, const struct field_path *p, const char *value,
                  const char *const *list);
/* If key of v is absent or "": "Required value". p is v's path. */
bool check_has(struct field_errors *fe, const struct field_path *p, const json_t *v,
               const char *key);
void check_labels(struct field_errors *fe, const struct field_path *p, const json_t *labels);
void check_annotations(struct field_errors *fe, const struct field_path *p,
                       const json_t *annotations);
/* A path below something: relative and without "..". */
void check_descending(struct field_errors *fe, const struct field_path *p, const char *path);
/* The same, and no name that begins with "..". */
void check_local(struct field_errors *fe, const struct field_path *p, const char *path);
bool check_no_backsteps(struct field_errors *fe, const struct field_path *p, const char *path);

/* NULL: fine, else upstream's sentence. */
const char *ip_problem(const char *s);
const char *cidr_problem(const char *s);
bool ip_is_v6(const char *s);
