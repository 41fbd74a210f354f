#pragma once
/* Rule admission: what webhooks and admission policies have in common. Inside server/schema. */
#include "server/schema/field_error.h"

bool rule_is_blank(const char *text);
void rule_match_conditions(const json_t *list, const struct field_path *p, struct field_errors *fe);
