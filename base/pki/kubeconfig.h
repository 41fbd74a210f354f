#pragma once
/*
 * Kubeconfig: the two texts K3s writes: with embedded data (k3s.yaml) and with file paths (its
 * components' ones). Appends to out; ERR_LIMIT, or ERR_INVALID for a value that YAML would have to
 * quote. And reading one, of either form. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define KUBECONFIG_MAX_BYTES (256 * 1024)

struct kubeconfig_data {
    const char *name;       /* of cluster, user and context; NULL: "default" */
    const char *server_url; /* "https://127.0.0.1:6443" */
    struct str ca_pem, cert_pem, key_pem;
};
MUST_USE int kubeconfig_embedded(struct buf *out, const struct kubeconfig_data *d, struct err *e);

struct kubeconfig_paths {
    const char *server_url;
    const char *ca_path, *cert_path, *key_path;
};
MUST_USE int kubeconfig_files(struct buf *out, const struct kubeconfig_paths *p, struct err *e);

/* Of a file's current context: where the server is, what to trust, who we are there. */
struct kubeconfig {
    char *server_url;
    struct buf ca_pem, cert_pem, key_pem; /* empty where the file does not say */
};
/* Blocks. ERR_INVALID names what is missing or broken; else as file_read. On failure there is
 * nothing to free. */
MUST_USE int kubeconfig_read(struct kubeconfig *out, const char *path, struct err *e);
void kubeconfig_deinit(struct kubeconfig *k); /* wipes the key */
