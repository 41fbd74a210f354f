#pragma once
/* Sqlite_format: the numbers in the file that the backend and its snapshots share; never change
 * their meaning. The tables are in server/store/sqlite.h. */
#include <stdint.h>

#define SQLITE_FORMAT_APPLICATION_ID 0x436f7263 /* "Corc" */
/* 1: without the table lease; 2: without the table label */
#define SQLITE_FORMAT_VERSION  3
#define SQLITE_FORMAT_REV_MAX  ((int64_t)1 << 54)
#define SQLITE_FORMAT_SEQ_BITS 7 /* of an event's position: STORE_SEQ_BITS */
