#include "base/core/log.h"
#include "base/core/macros.h"
#include "base/data/flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct options {
    char *token;
    int64_t port;
    bool debug;
    struct flag_list label;
};

/* A config file becomes arguments, and those are read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct flag table[] = {
        { .name = "token",
          .alias = 't',
          .type = FLAG_STR,
          .offset = offsetof(struct options, token),
          .secret = true },
        { .name = "port", .type = FLAG_INT, .offset = offsetof(struct options, port), .dflt = "1" },
        { .name = "debug", .type = FLAG_BOOL, .offset = offsetof(struct options, debug) },
        { .name = "label", .type = FLAG_LIST_COMMA, .offset = offsetof(struct options, label) },
    };
    static int fd = -1;
    char path[64];
    char *own[] = { (char[]){ "--debug" } };
    struct flag_list args = { 0 };
    struct options o = { 0 };
    auto_buf shown = BUF(4 << 20);
    struct err e;

    if (fd < 0)
        fd = memfd_create("config", 0);
    log_level_min = LOG_LVL_ERROR + 1;
    if (ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (flags_inject_config(table, ARRAY_LEN(table), path, n & 1, 1, own, &args, &e) == 0) {
        if (args.n == 0)
            abort();
        err_ignore(
            flags_parse(table, ARRAY_LEN(table), &o, (int)args.n, args.v, NULL, &e)); /* any */
        err_ignore(flags_node_args(table, ARRAY_LEN(table), (int)args.n, args.v, &shown));
        flags_deinit(table, ARRAY_LEN(table), &o);
    }
    flag_list_free(&args);
    return 0;
}
