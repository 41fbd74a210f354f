#pragma once
/*
 * Validate volume: the sources of volumes, of pods and of PersistentVolumes (validateVolumeSource,
 * ValidatePersistentVolumeSpec of pkg/apis/core/validation, release 1.32). For validate*.c. Any
 * thread.
 */
#include "server/schema/field_error.h"

/* One source of those that a pod's volume, or a PersistentVolume's spec, may have. */
struct volume_source {
    const char *key;
    const char *second;      /* its name in the error of a second source; NULL: key */
    const char *path;        /* its name in paths; NULL: key */
    const char *required[4]; /* fields that may not be empty */
    void (*check)(struct field_errors *fe, const struct field_path *p, const json_t *source,
                  const json_t *owner); /* NULL: none. owner: the volume or spec it lies in */
};
/* Exactly one of sources, and its rules. p is the owner's path. */
void check_volume_source(struct field_errors *fe, const struct field_path *p, const json_t *owner,
                         const struct volume_source *sources, size_t n);
void check_pod_volume(struct field_errors *fe, const struct field_path *p, const json_t *volume);

/* validate_volume_kinds.c: rules of single sources, in the form of the hook above. */
#define VOLUME_CHECK(name_)                                                                        \
    void name_(struct field_errors *fe, const struct field_path *p, const json_t *source,          \
               const json_t *owner)
VOLUME_CHECK(check_azure_disk);
VOLUME_CHECK(check_csi);
VOLUME_CHECK(check_fc);
VOLUME_CHECK(check_flex);
VOLUME_CHECK(check_flocker);
VOLUME_CHECK(check_host_path);
VOLUME_CHECK(check_iscsi);
VOLUME_CHECK(check_nfs);
VOLUME_CHECK(check_partition);
VOLUME_CHECK(check_quobyte);
VOLUME_CHECK(check_secret_name); /* secretRef.name where there is one */
VOLUME_CHECK(check_storageos);
void check_csi_driver(struct field_errors *fe, const struct field_path *p, const char *name);

/* validate_claim.c */
void check_claim_spec(struct field_errors *fe, const struct field_path *p, const json_t *spec);
