#pragma once
/* Disk: a server's data folder, one for each test, and what lies in it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/buf.h"
#include "base/pki/x509.h"
#include "server/ca/ca.h"

#define DAY_S INT64_C(86400)

struct disk {
    char dir[64], kubeconfig[96];
    struct ca_options o;
};

/* setup and teardown of a test; the clock is the machine's again. */
int disk_new(void **state);
int disk_free(void **state);

struct ca *opened(const struct disk *d); /* must succeed */

/* rel is below <dir>/server. */
char *path_of(const struct disk *d, const char *rel); /* heap */
void read_rel(const struct disk *d, const char *rel, struct buf *out);
void write_rel(const struct disk *d, const char *rel, struct str text);
unsigned mode_of(const struct disk *d, const char *rel);
bool exists(const struct disk *d, const char *rel);
struct x509 *cert_of(const struct disk *d, const char *rel); /* the first one of the file */
