#pragma once
/*
 * Request: CRI requests packed from the structs of cri.h; each function adds the message's bytes to
 * b. No I/O; any thread. ERR_LIMIT past b's maximum.
 */
#include "agent/cri/cri.h"
#include "base/core/buf.h"

MUST_USE int request_version(struct buf *b);
MUST_USE int request_runtime_config(struct buf *b, const char *pod_cidr);
MUST_USE int request_sandbox_id(struct buf *b, const char *id);
MUST_USE int request_container_id(struct buf *b, const char *id);
MUST_USE int request_run_sandbox(struct buf *b, const struct cri_sandbox_config *s);
MUST_USE int request_create_container(struct buf *b, const char *sandbox_id,
                                      const struct cri_container_config *k,
                                      const struct cri_sandbox_config *s);
MUST_USE int request_stop_container(struct buf *b, const char *id, int64_t grace_s);
MUST_USE int request_list_containers(struct buf *b, const char *sandbox_id);
MUST_USE int request_exec_sync(struct buf *b, const char *id, const char *const *argv,
                               size_t n_argv, int64_t timeout_s);
MUST_USE int request_exec(struct buf *b, const char *id, const char *const *argv, size_t n_argv,
                          struct cri_stream_options o);
MUST_USE int request_attach(struct buf *b, const char *id, struct cri_stream_options o);
MUST_USE int request_port_forward(struct buf *b, const char *sandbox_id, const int32_t *ports,
                                  size_t n_ports);
MUST_USE int request_image_status(struct buf *b, const char *image);
MUST_USE int request_pull_image(struct buf *b, const char *image,
                                const struct cri_sandbox_config *s);
MUST_USE int request_subscribe(struct buf *b, const char *filter);
