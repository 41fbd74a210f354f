#pragma once
/*
 * Managed list: the entries of metadata.managedFields with their sets; for managed*.c only. All of
 * it lies in one arena; texts point into the object that was read.
 */
#include "server/schema/managed.h"
#include "server/schema/typed.h"

struct managed_entry {
    const char *manager, *api_version, *subresource;
    const char *time; /* NULL: none */
    const struct fieldset *set;
    const struct fieldset *as_read; /* the set that json holds in our form; NULL: another form */
    const char *as_read_time;       /* the time in json */
    json_t *json;                   /* borrowed */
    bool applied;
};

struct managed_list {
    struct arena *a;
    struct managed_entry *v;
    size_t n, cap;
};

/* entries may be NULL. ours: they are as managed_json makes them, so that sets which do not change
 * need not be written anew. ERR_INVALID, ERR_LIMIT: one is no entry; l is empty then. */
MUST_USE int managed_read(struct managed_list *l, const json_t *entries, bool ours, struct err *e);
/* The entries in their order (l is sorted). New; NULL: there are none. */
json_t *managed_json(struct managed_list *l);

/* Same manager, operation, subresource and, for updates, version. NULL: there is none. */
struct managed_entry *managed_find(struct managed_list *l, const struct managed_entry *like);
struct managed_entry *managed_add(struct managed_list *l, const struct managed_entry *e);
/* Are fields that were told of in api_version fields of k too? Those of a custom kind's other
 * versions are: they have the same names. */
bool managed_is_same_form(const struct schema_kind *k, const char *api_version);
/* Entries without fields, and those of another form, go. */
void managed_prune(struct managed_list *l, const struct schema_kind *k);
/* The oldest updates become one entry until MANAGED_UPDATES_MAX are left. */
void managed_cap(struct managed_list *l);

/* Fields that nobody owns, and those that the endpoint resets (GetResetFields of upstream's
 * strategies). */
extern const struct fieldset managed_never;
const struct fieldset *managed_reset(const struct schema_kind *k, const char *subresource);
