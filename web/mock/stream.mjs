// The stream of events.

import { counts } from "./world.mjs";

export function openStream(world, request, response, peer) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(": hello\n\n");
  const listener = { response, peer };
  world.listeners.add(listener);
  request.on("close", () => world.listeners.delete(listener));
}

const write = (response, kind, data) => response.write(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);

export function publish(world, kind, data) {
  for (const { response } of world.listeners) write(response, kind, data);
}

export function tickStreams(world) {
  const [unix_s, rx_bps, tx_bps, rx_pps, tx_pps, handshakes, drops] = world.throughput.at(-1);
  const status = { unix_s, dataplane: world.dataplane, rx_bps, tx_bps, rx_pps, tx_pps, handshakes, drops, peers: counts(world), alerts: world.alerts.length };
  for (const { response, peer } of world.listeners) {
    write(response, "status", status);
    const found = peer && world.peers.get(peer);
    if (found) write(response, "peer", { unix_s, public_key: peer, live: found.live });
  }
}
