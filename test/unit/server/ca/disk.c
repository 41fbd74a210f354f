#include "test/unit/server/ca/disk.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/pemfile.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int disk_new(void **state)
{
    static const char *const ips[] = { "192.0.2.7", "2001:db8::7" };
    static const char *const sans[] = { "edge.example.com,198.51.100.1", "edge.example.com" };
    struct disk *d = mem_alloc(sizeof *d);

    log_level_min = LOG_LVL_ERROR;
    clock_set_offset_s(0);
    strcpy(d->dir, "/tmp/ca-test-XXXXXX");
    if (!mkdtemp(d->dir))
        return -1;
    snprintf(d->kubeconfig, sizeof d->kubeconfig, "%s/etc/k3s.yaml", d->dir);
    d->o = (struct ca_options){ .data_dir = d->dir,
                                .node_name = "srv1.lan",
                                .node_ips = ips,
                                .n_node_ips = 2,
                                .tls_sans = sans,
                                .n_tls_sans = 2,
                                .kubeconfig_default = d->kubeconfig };
    *state = d;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int disk_free(void **state)
{
    struct disk *d = *state;

    clock_set_offset_s(0);
    nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(d);
    return 0;
}

struct ca *opened(const struct disk *d)
{
    struct err e = { 0 };
    struct ca *ca = NULL;

    if (ca_open(&ca, &d->o, &e))
        fail_msg("%s", e.text);
    assert_string_equal(e.text, ""); /* untouched on success */
    return ca;
}

char *path_of(const struct disk *d, const char *rel)
{
    return mem_printf("%s/server/%s", d->dir, rel);
}

void read_rel(const struct disk *d, const char *rel, struct buf *out)
{
    auto_free char *path = path_of(d, rel);
    struct err e = { 0 };

    buf_clear(out);
    if (pemfile_read(out, path, &e))
        fail_msg("%s", e.text);
}

void write_rel(const struct disk *d, const char *rel, struct str text)
{
    auto_free char *path = path_of(d, rel);
    auto_free char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    struct err e = { 0 };

    if (pemfile_mkdir(dir, 0700, &e) || pemfile_write(path, text, 0600, &e))
        fail_msg("%s", e.text);
}

unsigned mode_of(const struct disk *d, const char *rel)
{
    auto_free char *path = path_of(d, rel);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

bool exists(const struct disk *d, const char *rel)
{
    auto_free char *path = path_of(d, rel);

    return access(path, F_OK) == 0;
}

struct x509 *cert_of(const struct disk *d, const char *rel)
{
    auto_buf pem = BUF(BUNDLE_MAX_BYTES);
    struct x509 *x = NULL;
    struct err e = { 0 };

    read_rel(d, rel, &pem);
    if (x509_parse_pem(&x, buf_str(&pem), &e))
        fail_msg("%s: %s", rel, e.text);
    return x;
}
