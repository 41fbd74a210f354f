#pragma once
/* Node role: the labels of a Node that a server runs on, as K3s sets them. Pure. */
#include <jansson.h>

json_t *node_role_patch(const json_t *node); /* a merge patch; NULL: it has them */
