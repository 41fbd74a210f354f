/* A pod's folders, made and removed on the pool: its log folder and its emptyDir volumes. */
#include "agent/pod/pod_int.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct disk {
    struct pod *pod; /* for the loop thread only; the rest are copies */
    bool remove;
    char *pod_dir, *log_dir;
    size_t n_volumes;
    struct disk_volume {
        char *path, *type;
        bool host, in_memory;
        int64_t size_bytes;
    } * volumes;
};

static void disk_free(struct disk *d)
{
    for (size_t i = 0; i < d->n_volumes; i++) {
        free(d->volumes[i].path);
        free(d->volumes[i].type);
    }
    free(d->volumes);
    free(d->pod_dir);
    free(d->log_dir);
    free(d);
}

/* A host path must be what its type says (API reference, HostPathVolumeSource). */
static int make_host_path(const struct disk_volume *v, struct err *e)
{
    bool dir = strncmp(v->type, "Directory", 9) == 0, create = strstr(v->type, "OrCreate") != NULL;
    struct stat st;

    if (!*v->type)
        return 0;
    if (!stat(v->path, &st)) {
        if (dir ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode))
            return 0;
        return err_set(e, ERR_INVALID, "hostPath type check failed: %s is not a %s", v->path,
                       dir ? "directory" : "file");
    }
    if (!create)
        return err_sys(e, errno, "hostPath type check failed: %s", v->path);
    return dir ? file_mkdirs(v->path, 0755, e)
               : file_write_new(v->path, (struct str){ NULL, 0 }, 0644, e);
}

static int make_empty_dir(const struct disk_volume *v, struct err *e)
{
    char options[64] = "mode=0777";
    struct stat st, above;
    auto_free char *parent = mem_printf("%s/..", v->path);

    if (file_mkdirs(v->path, 0755, e))
        return e->code;
    if (chmod(v->path, 0777)) /* whoever the containers run as */
        return err_sys(e, errno, "chmod %s", v->path);
    if (!v->in_memory)
        return 0;
    if (!stat(v->path, &st) && !stat(parent, &above) && st.st_dev != above.st_dev)
        return 0; /* mounted by an earlier run of the agent */
    if (v->size_bytes > 0)
        snprintf(options, sizeof options, "mode=0777,size=%lld", (long long)v->size_bytes);
    if (mount("tmpfs", v->path, "tmpfs", 0, options))
        return err_sys(e, errno, "mount a tmpfs at %s", v->path);
    return 0;
}

static int run(void *arg, struct err *e)
{
    struct disk *d = arg;

    if (!d->remove && (file_mkdirs(d->pod_dir, 0750, e) || file_mkdirs(d->log_dir, 0755, e)))
        return e->code;
    for (size_t i = 0; i < d->n_volumes; i++) {
        struct disk_volume *v = &d->volumes[i];

        if (d->remove && v->in_memory && umount2(v->path, MNT_DETACH) && errno != EINVAL &&
            errno != ENOENT)
            return err_sys(e, errno, "unmount %s", v->path);
        if (!d->remove && (v->host ? make_host_path(v, e) : make_empty_dir(v, e)))
            return e->code;
    }
    if (d->remove && (file_remove_tree(d->pod_dir, e) || file_remove_tree(d->log_dir, e)))
        return e->code;
    return 0;
}

static void on_done(void *arg, const struct err *e)
{
    struct disk *d = arg;
    struct pod *p = d->pod;
    bool removed = d->remove;

    disk_free(d);
    p->work = NULL;
    if (p->closing) {
        pod_maybe_gone(p);
        return;
    }
    if (e) {
        p->retry_at_ms = uv_now(p->node->loop) + backoff_next_ms(&p->backoff);
        log_warn(removed ? "pod's folders not removed, will retry"
                         : "pod's folders not made, will retry",
                 kv("pod", p->name), kv("err", e->text));
        snprintf(p->box_why, sizeof p->box_why, "%s", e->text);
        if (p->object && !removed)
            recorder_note(p->node->recorder, p->object, NULL, "Warning", "FailedMount",
                          "MountVolume.SetUp failed: %s", e->text);
    } else if (removed) {
        p->dirs_gone = true;
    } else {
        p->has_dirs = true;
        p->box_why[0] = '\0';
    }
    pod_step(p);
}

static void start(struct pod *p, bool remove)
{
    struct disk *d = mem_alloc(sizeof *d);
    auto_free char *volume_dir = pod_volume_dir(p);

    d->pod = p;
    d->remove = remove;
    d->pod_dir = pod_dir(p);
    d->log_dir = pod_log_dir(p);
    d->n_volumes = p->spec ? p->spec->n_volumes : 0;
    d->volumes = mem_calloc(d->n_volumes + 1, sizeof *d->volumes);
    for (size_t i = 0; i < d->n_volumes; i++) {
        const struct spec_volume *v = &p->spec->volumes[i];

        d->volumes[i].host = v->kind == SPEC_HOST_PATH;
        d->volumes[i].in_memory = v->in_memory;
        d->volumes[i].size_bytes = v->size_bytes;
        d->volumes[i].type = mem_strdup(v->type ? v->type : "");
        d->volumes[i].path =
            d->volumes[i].host ? mem_strdup(v->path) : mem_printf("%s/%s", volume_dir, v->name);
    }
    work_start(&p->work, p->node->loop, run, on_done, d);
}

void pod_disk_make(struct pod *p)
{
    start(p, false);
}

void pod_disk_remove(struct pod *p)
{
    start(p, true);
}
