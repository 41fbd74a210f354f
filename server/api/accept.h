#pragma once
/*
 * Accept: which form of an answer a client wants, and what a body is (content negotiation of
 * apiserver/pkg/endpoints/handlers/negotiation). Sans-I/O. Any thread.
 */
#include "base/core/str.h"

enum accept_as { ACCEPT_OBJECT, ACCEPT_TABLE, ACCEPT_PARTIAL };

struct accept {
    enum accept_as as;
    bool as_list; /* PARTIAL: of a list, PartialObjectMetadataList */
    bool beta;    /* TABLE, PARTIAL: as meta.k8s.io/v1beta1, which differs in protobuf only */
    bool proto;   /* the Kubernetes protobuf encoding (proto.h); neither it nor yaml: JSON */
    bool yaml;
    bool pretty; /* "pretty=1" stands beside the type */
};
/* NO_PROTO is about whole objects: metadata looks the same for all. */
enum accept_without { ACCEPT_ALL, ACCEPT_NO_PROTO = 1, ACCEPT_NO_TABLE = 2 };
/* accept: the header, may be empty; without: enum accept_without, what has no such form. False:
 * nothing in it can be served (406). Tables are never protobuf. */
MUST_USE bool accept_parse(struct accept *out, struct str accept, unsigned without);

/* Does an Accept-Encoding hold "gzip"? With a quality it does not, as upstream reads it. */
bool accept_gzip(struct str header);

/* What a 406 and a 415 name as served. */
#define ACCEPT_MEDIA_TYPES "application/json, application/yaml, application/vnd.kubernetes.protobuf"
#define ACCEPT_STREAM_TYPES                                                                        \
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"

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
