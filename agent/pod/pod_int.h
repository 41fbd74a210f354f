#pragma once
/* Pod, inside: the state that pod.c (steps), pod_start.c (one container's start), pod_report.c
 * (status and deletion in the API) and pod_disk.c (folders) share. */
#include "agent/pod/pod.h"
#include "agent/pod/status.h"
#include "base/core/list.h"
#include "base/io/backoff.h"
#include "base/io/timer.h"
#include "base/io/work.h"

#define POD_SANDBOXES_MAX                                                                          \
    16 /* of one pod; more is a runtime gone mad, they wait for the next look */

struct pod_run { /* one container of the runtime */
    char *id;    /* NULL: none */
    char *sandbox_id;
    uint32_t attempt;
    enum cri_state state;
    bool detailed; /* the fields below belong to this state */
    int64_t started_unix_s, finished_unix_s, finished_unix_ms;
    int32_t exit_code;
    char *reason, *message, *image_id, *log_path;
};

struct pod_ctr { /* one container of the spec */
    struct pod_run now, last;
    char waiting[32], waiting_why[320]; /* reason and message while nothing runs */
    struct backoff image_backoff;
    uint64_t retry_at_ms; /* not before; loop time */
    bool waits_for_image;
    uint64_t crash_ms;      /* the pause before its next run after a failure; 0: none yet */
    uint64_t crash_grew_ms; /* when that grew; loop time */
    bool warned;            /* the wait has its event */
};

struct pod_box {
    char *id;
    uint32_t attempt;
    bool ready;
    int64_t created_at_ns;
};

struct pod {
    struct pod_node *node;
    char *uid, *ns, *name;
    json_t *object; /* the API's; NULL: never seen */
    bool orphaned;  /* the API has it no more */
    struct spec *spec;
    struct err refusal;   /* why there is no spec */
    struct pod_ctr *ctrs; /* as spec->containers */
    size_t n_ctrs;

    uint64_t min_look; /* looks before this one are stale */
    bool observed;
    struct pod_box boxes[POD_SANDBOXES_MAX]; /* newest first */
    size_t n_boxes;
    size_t n_observed_containers; /* in the runtime, ours or left over */
    char *to_remove;              /* id of a container that is two runs old */
    char *to_remove_log;
    char *ip_of; /* sandbox whose addresses these are */
    char *ips[2];
    size_t n_ips;

    struct list ops; /* calls of the runtime that run: struct pod_op */
    bool look_after; /* when they have ended: look at the runtime before the next step */
    struct work *work;
    struct timer timer;
    struct backoff backoff; /* sandbox and clean-up failures */
    uint64_t retry_at_ms;
    bool has_dirs, stopped_boxes, dirs_gone, details_failed;
    char box_why[320]; /* why there is no sandbox */

    json_t *status;  /* ours, as it should be in the API */
    json_t *written; /* as the API has it, as far as we know; NULL: ask the object */
    struct kube_call *status_call, *delete_call;
    struct backoff status_backoff;
    uint64_t status_retry_ms;
    bool deleted; /* DELETE succeeded */
    int64_t start_unix_s;

    bool closing;
    bool in_gone;
    void (*done)(void *arg);
    void *done_arg;
};

/* pod.c */
void pod_step(struct pod *p);
void pod_on_timer(void *pod); /* of pod.timer: steps */
/* One call of the runtime, or a chain of them, that the next step waits for. */
struct pod_op {
    struct list link;
    struct pod *pod;
    struct cri_call *call; /* the one that runs now, for cancelling */
    size_t index;          /* of a container, where it is about one */
    uint32_t attempt;
    char *id; /* what it is about, owned; may be NULL */
};
struct pod_op *pod_op_new(struct pod *p, const char *id);
/* Last in the callback: steps, after a look at the runtime if something may have changed there. */
void pod_op_end(struct pod_op *op, bool look);
void pod_maybe_gone(struct pod *p);
bool pod_is_ending(const struct pod *p);              /* deleted, orphaned */
void pod_wake_at(struct pod *p, uint64_t at_ms);      /* a step then, or earlier; loop time */
bool pod_must_wait(struct pod *p, uint64_t until_ms); /* not yet then: a step will come */
void pod_fail(struct pod *p);                         /* sets retry_at_ms, with backoff */

/* pod_look.c; true: something is asked, the step goes on when it is known */
bool pod_ask_details(struct pod *p, struct cri *cri);
void pod_boxes_clear(struct pod *p);
void pod_run_clear(struct pod_run *r);
static inline struct pod_box *pod_box(struct pod *p)
{
    return p->n_boxes && p->boxes[0].ready ? &p->boxes[0] : NULL;
}
void pod_facts(const struct pod *p, struct translate_facts *out, struct arena *a);
char *pod_log_dir(const struct pod *p);
char *pod_volume_dir(const struct pod *p);
char *pod_dir(const struct pod *p);

/* pod_end.c; true: something was started */
bool pod_stop_containers(struct pod *p, struct cri *cri);
bool pod_stop_boxes(struct pod *p, struct cri *cri);
bool pod_remove_boxes(struct pod *p, struct cri *cri, size_t from);
void pod_step_ending(struct pod *p, struct cri *cri);
void pod_step_over(struct pod *p, struct cri *cri);

/* pod_start.c: image, create, start. Ends in pod_op_ended. */
void pod_start_container(struct pod *p, size_t index, uint32_t attempt);

/* pod_report.c */
void pod_report(struct pod *p); /* makes the status and writes it if the API has another */
bool pod_report_is_clean(const struct pod *p); /* the API has our status, nothing is under way */
void pod_delete(struct pod *p);                /* the API object; steps when done */

/* pod_disk.c: on the pool. Each steps when done. */
void pod_disk_make(struct pod *p);
void pod_disk_remove(struct pod *p);
