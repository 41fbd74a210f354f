#pragma once
/*
 * Server_id: a name of this server that outlives its process: a UUID in <data>/server/server-id,
 * made at the first start. It is no secret and proves nothing. Blocking.
 */

/* Heap, yours. When the file cannot be read or written, which is logged: a new one for now. */
char *server_id(const char *data_dir);
