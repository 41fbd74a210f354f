#pragma once
/*
 * Machine: what this host is: processors, memory, disk, kernel, system, as a Node reports them.
 * Reads /proc, /sys and /etc; each file that is missing leaves its field empty, for the field is
 * informative. Blocking but quick; any thread.
 */
#include "base/core/err.h"

#include <stdint.h>

#define MACHINE_TEXT_BYTES 128

struct machine {
    unsigned n_cpus;
    uint64_t memory_bytes;
    uint64_t disk_bytes; /* of the file system that holds data_dir */
    uint64_t disk_available_bytes;
    uint64_t memory_available_bytes;
    uint64_t n_inodes, n_inodes_free;
    char architecture[16]; /* GOARCH: amd64, arm64 */
    char kernel_version[MACHINE_TEXT_BYTES];
    char os_image[MACHINE_TEXT_BYTES]; /* PRETTY_NAME of /etc/os-release */
    char boot_id[MACHINE_TEXT_BYTES];
    char machine_id[MACHINE_TEXT_BYTES];
    char system_uuid[MACHINE_TEXT_BYTES];
    char host_name[MACHINE_TEXT_BYTES];
};

void machine_read(struct machine *m, const char *data_dir);
/* Only what changes while we run: memory and disk available. */
void machine_refresh(struct machine *m, const char *data_dir);

/* Sans-I/O parts. */
uint64_t machine_meminfo_bytes(const char *meminfo,
                               const char *key); /* "MemTotal"; 0 when absent */
void machine_os_image(char out[MACHINE_TEXT_BYTES], const char *os_release);
