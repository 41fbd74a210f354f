#pragma once
/*
 * Importer: brings image archives (`docker save` and OCI tar files) into containerd: the pause
 * image out of the program, then every *.tar of a folder, one after the other with ctr. What was
 * imported is kept in a list beside containerd's data, by digest, so that a warm start imports
 * nothing; the folder is looked at again every half minute. Loop thread only.
 */
#include "base/core/err.h"

#include <uv.h>

struct importer;

struct importer_config {
    uv_loop_t *loop;
    const char *socket;      /* containerd's */
    const char *snapshotter; /* to unpack into */
    const char *folder;      /* of archives; it need not exist */
    const char *list_path;   /* what was imported */
    bool force_pause;        /* import it even if the list has it: containerd does not */
    bool skip_pause;         /* another pause image was asked for */
    /* The pause image is there, or could not be imported (e; it is tried again). */
    void (*on_pause)(void *arg, const struct err *e);
    /* Archives came in, or the folder has been looked at and nothing is missing. */
    void (*on_change)(void *arg);
    void *arg;
};

void importer_start(struct importer **out, const struct importer_config *c);
/* True until the folder has been gone through once; then while new ones come in. */
bool importer_is_busy(const struct importer *m);
void importer_close(struct importer *m, void (*done)(void *arg), void *arg);
