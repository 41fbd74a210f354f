#pragma once
/*
 * CRD OpenAPI: what is published of a custom kind's schema (apiextensions-apiserver
 * pkg/controller/openapi/{builder,v2}). Any thread.
 */
#include "server/schema/crd.h"

/* "com.example.v1.CronTab", cut at n_bytes. */
void crd_openapi_name(char *out, size_t n_bytes, const struct schema_kind *k, const char *suffix);
/* The schema with the fields that every object has, head's. v2: without what Swagger cannot say.
 * New.
 */
json_t *crd_openapi_schema(const struct crd_version *v, json_t *head, bool v2);
