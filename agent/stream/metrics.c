#include "agent/stream/port_impl.h"
#include "base/io/process_metrics.h"

static void put(struct buf *out, const char *name, const char *type, const char *help, double v)
{
    err_ignore(buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name,
                        v)); /* a reader sees a shorter text then */
}

void metrics_write(struct buf *out, const struct metrics_input *in)
{
    process_metrics_write(out);
    err_ignore(buf_addf(out,
                        "# HELP kubernetes_build_info The version of this program.\n"
                        "# TYPE kubernetes_build_info gauge\n"
                        "kubernetes_build_info{git_version=\"%s\"} 1\n"
                        "# HELP kubelet_running_containers Number of containers currently running\n"
                        "# TYPE kubelet_running_containers gauge\n"
                        "kubelet_running_containers{container_state=\"running\"} %zu\n",
                        in->version, in->n_containers_running));
    put(out, "kubelet_running_pods", "gauge", "Number of pods that have a running pod sandbox",
        (double)in->n_pods_running);
}
