#pragma once
/*
 * Answer: a CRI response read from its bytes into the structs of cri.h. No I/O; any thread.
 */
#include "agent/cri/cri.h"
#include "base/core/arena.h"

/* One response may not need more memory than this, whatever its bytes claim. */
#define ANSWER_MAX_BYTES (64u * 1024 * 1024)

enum answer_kind {
    ANSWER_NONE, /* nothing in it matters */
    ANSWER_VERSION,
    ANSWER_STATUS,
    ANSWER_SANDBOX_ID,   /* text */
    ANSWER_CONTAINER_ID, /* text */
    ANSWER_IMAGE_REF,    /* text */
    ANSWER_URL,          /* text */
    ANSWER_SANDBOXES,
    ANSWER_SANDBOX_STATUS,
    ANSWER_CONTAINERS,
    ANSWER_CONTAINER_STATUS,
    ANSWER_IMAGES,
    ANSWER_IMAGE_STATUS,
    ANSWER_EXEC,
    ANSWER_KINDS_N,
};

struct answer {
    struct arena arena; /* owns all that follows */
    const char *text;
    struct cri_version version;
    struct cri_status status;
    struct cri_exec_result exec;
    const struct cri_sandbox *sandboxes;
    const struct cri_container *containers;
    const struct cri_image *images;
    size_t n; /* of the list that the kind has */
};

/* ERR_PROTOCOL: not such a message, or without what it must have; ERR_LIMIT. a needs answer_deinit
 * only after success. */
MUST_USE int answer_read(struct answer *a, enum answer_kind kind, struct str bytes, struct err *e);
void answer_deinit(struct answer *a);
