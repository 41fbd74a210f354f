#pragma once
/*
 * Name: what names, label keys and label values may look like (k8s.io/apimachinery
 * pkg/util/validation). Each check returns NULL when s is fine, else the sentence upstream answers
 * (constant). Any thread.
 */
#include "base/core/str.h"

#define NAME_LABEL_MAX     63
#define NAME_SUBDOMAIN_MAX 253

const char *name_check_label(struct str s);        /* RFC 1123 label: Service of a Namespace, ... */
const char *name_check_label35(struct str s);      /* RFC 1035 label: names of Services */
const char *name_check_subdomain(struct str s);    /* RFC 1123 subdomain: most names */
const char *name_check_path_segment(struct str s); /* RBAC names */
const char *name_check_qualified(struct str s);    /* label and annotation keys: [prefix/]name */
const char *name_check_label_value(struct str s);
const char *name_check_port_name(struct str s);
const char *name_check_env(struct str s);
const char *name_check_config_key(struct str s);
