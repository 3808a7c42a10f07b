// What tests turn: POST /mock/gone {public_key}, /mock/dataplane {present}, /mock/cut-streams.

import { bodyOf, Refused, send } from "./http.mjs";
import { publish } from "./stream.mjs";
import { iso } from "./world.mjs";

export async function levers(world, request, response, url) {
  const body = await bodyOf(request);
  switch (url.pathname) {
    case "/mock/gone": {
      const peer = world.peers.get(body.public_key);
      if (!peer) throw new Refused(404, "No such peer", "no such peer");
      peer.rate = { rx: 0, tx: 0 };
      Object.assign(peer.live, { state: "disconnected", state_since: iso(Date.now()), state_reason: "no authenticated packet for 180 s", health: "degraded" });
      publish(world, "peer_state", { at: iso(Date.now()), public_key: peer.public_key, name: peer.name, state: "disconnected", reason: peer.live.state_reason });
      break;
    }
    case "/mock/dataplane":
      world.dataplane = body.present;
      break;
    case "/mock/cut-streams":
      for (const { response } of world.listeners) response.destroy();
      break;
    default:
      throw new Refused(404, "No such lever", url.pathname);
  }
  send(response, 204);
}
