#pragma once
/*
 * Validate container: the rules of one container inside its pod: validateContainerCommon and the
 * handlers of pkg/apis/core/validation, release 1.32. For validate_pod.c. Any thread.
 */
#include "base/core/map.h"
#include "server/schema/field_error.h"

/* What a container's rules need to know of its pod. */
struct container_env {
    const json_t *spec;        /* the PodSpec */
    const struct map *volumes; /* name -> the volume's json_t */
    bool host_users;           /* no user namespace of its own */
};

void check_container(struct field_errors *fe, const struct field_path *p, const json_t *c,
                     const struct container_env *env);
/* Lifecycle and probes, of the containers that may have them. */
void check_container_handlers(struct field_errors *fe, const struct field_path *p, const json_t *c,
                              const struct container_env *env);
/* validate_probe.c: one probe: "livenessProbe", "readinessProbe", "startupProbe"; a hook of a
 * Lifecycle. */
void check_probe(struct field_errors *fe, const struct field_path *p, const json_t *c,
                 const char *key);
void check_lifecycle(struct field_errors *fe, const struct field_path *p, const json_t *lifecycle,
                     const json_t *grace_s);
/* validate_mount.c */
void check_mounts(struct field_errors *fe, const struct field_path *p, const json_t *c,
                  const struct map *volumes);
/* validate_env.c: references to fields of the pod and of its containers' resources. */
void check_env(struct field_errors *fe, const struct field_path *p, const json_t *env);
void check_env_from(struct field_errors *fe, const struct field_path *p, const json_t *list);
/* What a downwardAPI file may show; NULL-terminated like the one for variables. */
extern const char *const downward_file_fields[];
void check_field_ref(struct field_errors *fe, const struct field_path *p, const json_t *ref,
                     const char *const *fields);
void check_resource_ref(struct field_errors *fe, const struct field_path *p, const json_t *ref,
                        bool in_volume);
