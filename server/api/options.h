#pragma once
/*
 * Options: are a request's parameters what its verb takes? The rules and texts are those of
 * apimachinery/pkg/apis/meta/internalversion/validation (lists, watches) and meta/v1/validation
 * (writes, deletes, tables). Inside server/api only.
 */
#include "server/api/request.h"

/* False: answered, with 400 or 422. */
MUST_USE bool options_check(struct api_req *r);
