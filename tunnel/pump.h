#pragma once
/*
 * Pump: the agent's side of one flow: dials the target and copies both ways.
 *
 *   DIALING --(connected)--> COPYING --(either end ends, or breaks)--> CLOSING --> gone
 *      +--(failed: Error with the text a K3s agent would send)------------^
 *
 * Backpressure both ways: a flow whose local connection is slow is paused (and the session then
 * pauses the peer), a local connection whose flow is slow is not read. What one end sent before it
 * ended still reaches the other. With our own framing an end of one direction is passed on and the
 * other goes on; with remotedialer it ends both, as at K3s' agents. A pump needs nobody: it ends by
 * itself, at the latest 10 s after its flow. Loop thread only.
 */
#include "tunnel/authorizer.h"
#include "tunnel/session.h"

#include <uv.h>

#define TUNNEL_PUMP_DIAL_MS 15000 /* targets are on this host */

/* In on_open of a session: binds f, and closes it in the end. The dial takes TUNNEL_PUMP_DIAL_MS at
 * most, less if the server does not wait so long. */
void tunnel_pump_start(uv_loop_t *loop, struct tunnel_flow *f, const struct tunnel_target *target);
