/* A snapshot of the datastore, as an operator may bring one from anywhere. */
#include "server/store/snapshot.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], restored[72];
    auto_facts facts = { 0 };
    struct err e;
    int fd;

    snprintf(path, sizeof path, "/dev/shm/snapshot_fuzz.%ld", (long)getpid());
    snprintf(restored, sizeof restored, "%s.db", path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    /* What reads well restores, or says why not. */
    if (snapshot_read(&facts, path, &e) == 0 &&
        snapshot_restore(path, restored, "/dev/shm/snapshot_fuzz.aside", &e) == 0 &&
        access(restored, F_OK) != 0)
        abort();
    unlink(path);
    unlink(restored);
    return 0;
}
