#pragma once
/*
 * Local gone: tells where objects have gone from, of all kinds by one watch, for who counts them.
 * Loop thread only.
 */
struct api;
struct local_gone;

/* resource: "pods", "jobs.batch", as its objects are stored; NULL: news were lost, anything may be
 * gone anywhere. Services and PersistentVolumeClaims tell of every change too, for what they hold
 * may become less. */
typedef void (*local_gone_fn)(void *arg, const char *resource, const char *ns);

/* From now on; objects in no namespace are left out. */
void local_gone_start(struct local_gone **out, struct api *a, local_gone_fn fn, void *arg);
void local_gone_stop(struct local_gone *g); /* nothing more comes; gone at once for the caller */
