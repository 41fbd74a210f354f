/* A compressed snapshot, as an operator may bring one from anywhere. */
#include "base/data/zip.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], out[64];
    struct err e;
    int fd = memfd_create("zip", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(out, sizeof out, "/dev/shm/zip_fuzz.%ld", (long)getpid());
    if (zip_unpack(path, out, 1 << 16, &e) == 0)
        unlink(out);
    else if (access(out, F_OK) == 0) /* nothing is left behind */
        abort();
    close(fd);
    return 0;
}
