#pragma once
/*
 * Admission feed: the informers behind what admission plugins look up. Loop thread only.
 */
#include "server/admission/admission.h"

struct api;
struct admission_feed;

/* synced is called once, when all kinds have been listed. */
void admission_feed_start(struct admission_feed **out, struct api *a, void (*synced)(void *arg),
                          void *arg);
/* NULL is fine. No more events come. */
void admission_feed_stop(struct admission_feed *f);
/* Borrowed. f NULL: nothing is there. */
const struct admission_world *admission_feed_world(const struct admission_feed *f);
