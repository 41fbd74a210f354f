#pragma once
/*
 * Disk: what is on a disk when the power goes. It stands behind the gate of base/data/db_io, keeps
 * of each file what was synced and what was only written, and, when told to, loses power at a sync:
 * from then on nothing is written any more. What is left is what was synced, and of the rest any
 * sector (512 bytes) or none.
 *
 * One at a time. Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

struct disk;

/* dir: what lies there now is on the disk for certain. */
struct disk *disk_new(const char *dir, unsigned seed);
void disk_free(struct disk *d);

/* Loses power at the n-th sync from now on; 0: at the next. */
void disk_cut_at(struct disk *d, unsigned n_syncs);
bool disk_is_cut(const struct disk *d);
unsigned disk_n_syncs(const struct disk *d);

/* Writes the files as they are found after the cut into dir, under their own names. */
void disk_salvage(struct disk *d, const char *dir);
