#pragma once
/*
 * Cursor: the continue token of a list: the revision the list began at and the key it stopped
 * behind. Clients only hand it back. URL-safe base64 of {"v":"meta.k8s.io/v1","rv":7,"start":"..."}
 * as upstream's (apiserver/pkg/storage/continue.go). Sans-I/O. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define CURSOR_MAX_BYTES 2048

/* rev -1: "from wherever it is now", an inconsistent continuation. after is the last key served. */
char *cursor_text(int64_t rev, struct str after); /* heap, yours */
/* after is appended to key, which must lie under prefix. ERR_INVALID in upstream's words. */
MUST_USE int cursor_parse(const char *text, struct str prefix, int64_t *rev, struct buf *key,
                          struct err *e);
