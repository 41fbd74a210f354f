#pragma once
/*
 * Convert: kinds that share their objects with another version under other field names. The tables
 * name these by `convert` (meta.kube). Any thread.
 */
#include "server/schema/schema.h"

/* events.k8s.io/v1 Event; stored as core/v1 Event (upstream's pkg/apis/events/v1/conversion.go). */
extern const struct schema_convert schema_convert_core_event;
/* autoscaling/v1 HorizontalPodAutoscaler; stored as autoscaling/v2 (convert_hpa.c). */
extern const struct schema_convert schema_convert_hpa;
