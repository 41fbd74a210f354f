#pragma once
/*
 * Bootstrap: the files that make a cluster what it is (CAs, the key of ServiceAccount tokens,
 * passwords), as one document: what another server of it starts from, and what a snapshot needs to
 * be restored on an empty machine. K3s's names (its pkg/daemons/config, ControlRuntimeBootstrap).
 *
 *   { "ServerCA": { "Timestamp": "<RFC 3339, of the file>", "Content": "<base64>" }, ... }
 *
 * It is secret from end to end: seal it (base/pki/seal.h) before it leaves the process. The calls
 * block; no loop is needed. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define BOOTSTRAP_MAX_BYTES (1024 * 1024)

/* The files below server_dir (<data>/server). out must be a BUF_SECRET. ERR_NOT_FOUND names the one
 * that is missing; ETCDServerCA, ETCDPeerCA, IPSECKey and the two of secrets encryption need not be
 * there. */
MUST_USE int bootstrap_read(struct buf *out, const char *server_dir, struct err *e);

/* ERR_INVALID: no such document, or one that lacks what bootstrap_read insists on; names it. K3s's
 * older form, "ServerCA": "<base64>", is taken too. */
MUST_USE int bootstrap_check(struct str json, struct err *e);
/* After the same check, may the document's files take the place of the disk's? *same: there is
 * nothing to do. They may where cred, tls or tls/etcd is missing or empty, and where none of the
 * files that differ is newer on the disk than its stamp by more than three seconds; else
 * ERR_CONFLICT names those, for nobody can know which is right (K3s pkg/cluster/bootstrap.go). */
MUST_USE int bootstrap_compare(const char *server_dir, struct str json, bool *same, struct err *e);
/* After the same check: each file 0600 with the time of its stamp, folders 0700. */
MUST_USE int bootstrap_write(const char *server_dir, struct str json, struct err *e);
