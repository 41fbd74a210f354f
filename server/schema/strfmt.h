#pragma once
/*
 * Strfmt: the string formats that a custom kind's schema may name ("format: date-time"), as
 * upstream checks them (kube-openapi/pkg/validation/strfmt and apiextensions-apiserver
 * pkg/apiserver/validation/formats.go). Any thread.
 */
#include "base/core/str.h"

/* "date-time" and "datetime" are the same one. False: nobody checks this format. */
bool strfmt_is_known(const char *format);
/* format is known. */
bool strfmt_check(const char *format, struct str s);
