#pragma once
/*
 * Recorder: Events about pods, best effort: an event that cannot be written is lost, repeats of
 * one become a count, and what comes too fast is dropped. Loop thread only.
 */
#include "base/kube/client.h"

struct recorder;

void recorder_new(struct recorder **out, struct kube_client *client, const char *node_name);
/* pod: the object that it is about, borrowed; container: its name or NULL. type: "Normal" or
 * "Warning". */
void recorder_note(struct recorder *r, const json_t *pod, const char *container, const char *type,
                   const char *reason, const char *fmt, ...) PRINTF_FMT(6, 7);
/* Waits for the requests that run. Then done is called, later, and it is gone. */
void recorder_close(struct recorder *r, void (*done)(void *arg), void *arg);
