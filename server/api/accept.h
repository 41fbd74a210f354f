#pragma once
/*
 * Accept: which form of an answer a client wants, and what a body is (content negotiation of
 * apiserver/pkg/endpoints/handlers/negotiation). Sans-I/O. Any thread.
 */
#include "base/core/str.h"

enum accept_as { ACCEPT_OBJECT, ACCEPT_TABLE, ACCEPT_PARTIAL };

struct accept {
    enum accept_as as;
    bool proto; /* the Kubernetes protobuf encoding (proto.h), else JSON */
};
/* accept: the header, may be empty. False: nothing in it can be served (406). Tables are never
 * protobuf. */
MUST_USE bool accept_parse(struct accept *out, struct str accept);

enum content_type {
    CONTENT_JSON,
    CONTENT_YAML,
    CONTENT_PROTOBUF, /* proto.h */
    CONTENT_JSON_PATCH,
    CONTENT_MERGE_PATCH,
    CONTENT_STRATEGIC_PATCH,
    CONTENT_APPLY_PATCH,
    CONTENT_OTHER, /* 415 */
};
enum content_type content_type_of(struct str header); /* empty is JSON, as upstream */
