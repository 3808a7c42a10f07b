// Who is connected, as a map and in words.

import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { get } from "../../api/client";
import { listen } from "../../api/live";
import type { Topology as Live, TopologyLink, TopologyNode } from "../../api/types";
import { bitRate, count, plural } from "../../lib/format";
import { keyToPath } from "../../lib/keys";
import { grouped } from "../../lib/layout";
import { Icon } from "../../ui/icons";
import { useEvery, useLoad } from "../../ui/load";
import { Failure, Loading, PageHead, Scroller } from "../../ui/parts";
import { Shape, SHOWN_WORDS, toneOf, type Shown } from "../../ui/state";
import { Map } from "./map";

const REFRESH_MS = 5000;
const LINKS_MOST = 12;

/** What a node is shown as. */
export function nodeShown(node: TopologyNode): Shown {
  if (node.state === "disconnected") return "gone";
  return node.state ?? "absent";
}

/** The page. */
export function Topology(): JSX.Element {
  const loaded = useLoad("topology", (signal) => get<Live>("/topology", { signal }));
  useEvery(REFRESH_MS, loaded.reload);
  useEffect(
    () =>
      listen("peer_state", (event) => {
        const data = loaded.data;
        if (!data) return;
        loaded.set({ ...data, nodes: data.nodes.map((node) => (node.public_key === event.public_key && node.kind === "peer" ? { ...node, state: event.state } : node)) });
      }),
    [loaded.data],
  );
  const live = loaded.data;
  const peers = useMemo(() => live?.nodes.filter((node) => node.kind === "peer") ?? [], [live]);
  const gateway = live?.nodes.find((node) => node.kind === "gateway");
  return (
    <>
      <PageHead title="Topology" beside={live && <span class="muted">{plural(peers.length, "peer")}</span>} />
      {loaded.error !== null && <Failure error={loaded.error} again={loaded.reload} />}
      {!live && loaded.error === null && <Loading />}
      {live && peers.length === 0 && (
        <div class="card empty">
          <Icon name="topology" />
          <p>No peers yet, so nothing to draw.</p>
        </div>
      )}
      {live && peers.length > 0 && (
        <div class="grid-side">
          <section class="card" aria-label="Map">
            <Map peers={peers} links={live.links} gateway={gateway?.label ?? "gateway"} />
            <Legend peers={peers} />
            {live.left_out > 0 && <p class="muted small">{plural(live.left_out, "peer")} left out of the drawing.</p>}
          </section>
          <div class="stack">
            <Groups peers={peers} />
            <Busiest live={live} />
          </div>
        </div>
      )}
    </>
  );
}

const STATES: Shown[] = ["connected", "rekeying", "handshaking", "init", "gone", "absent"];

function Legend({ peers }: { peers: TopologyNode[] }): JSX.Element {
  return (
    <ul class="legend" aria-label="Peers by state">
      {STATES.map((shown) => ({ shown, n: peers.filter((peer) => nodeShown(peer) === shown).length }))
        .filter(({ n }) => n > 0)
        .map(({ shown, n }) => (
          <li key={shown} class={`state ${toneOf(shown)}`}>
            <Shape shown={shown} /> {SHOWN_WORDS[shown]} <span class="strong">{count(n)}</span>
          </li>
        ))}
    </ul>
  );
}

function Groups({ peers }: { peers: TopologyNode[] }): JSX.Element {
  const few = peers.length <= 30;
  return (
    <section class="card flush" aria-labelledby="groups-h">
      <div class="head">
        <h2 id="groups-h">Groups</h2>
      </div>
      <Scroller label="Groups">
        <table>
          <thead>
            <tr>
              <th scope="col">Group</th>
              <th scope="col" class="num">
                Peers
              </th>
              <th scope="col" class="num">
                Connected
              </th>
              <th scope="col" class="num">
                Gone
              </th>
            </tr>
          </thead>
          <tbody>
            {grouped(peers).map((group) => {
              const on = group.items.filter((peer) => peer.state === "connected" || peer.state === "rekeying").length;
              const off = group.items.filter((peer) => peer.state === "disconnected").length;
              return (
                <tr key={group.name}>
                  <th scope="row">
                    {group.name ? <a href={`#/peers?group=${encodeURIComponent(group.name)}`}>{group.name}</a> : <span class="muted">no group</span>}
                    {few && (
                      <ul class="members">
                        {group.items.map((peer) => (
                          <li key={peer.id} class={`state ${toneOf(nodeShown(peer))}`}>
                            <Shape shown={nodeShown(peer)} />
                            <a href={`#/peers/${keyToPath(peer.public_key ?? "")}`}>{peer.label}</a>
                            <span class="hidden-label">, {SHOWN_WORDS[nodeShown(peer)]}</span>
                          </li>
                        ))}
                      </ul>
                    )}
                  </th>
                  <td class="num">{count(group.items.length)}</td>
                  <td class="num">{count(on)}</td>
                  <td class="num">{count(off)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroller>
    </section>
  );
}

function Busiest({ live }: { live: Live }): JSX.Element | null {
  const nodes = useMemo(() => new globalThis.Map(live.nodes.map((node) => [node.id, node])), [live]);
  const busiest = live.links
    .map((link) => ({ link, peer: peerOf(link, nodes) }))
    .filter(({ link, peer }) => peer && link.rx_bps + link.tx_bps > 0)
    .sort((a, b) => b.link.rx_bps + b.link.tx_bps - a.link.rx_bps - a.link.tx_bps)
    .slice(0, LINKS_MOST);
  if (busiest.length === 0) return null;
  return (
    <section class="card flush" aria-labelledby="busy-h">
      <div class="head">
        <h2 id="busy-h">Busiest now</h2>
      </div>
      <Scroller label="Busiest peers">
        <table>
          <thead>
            <tr>
              <th scope="col">Peer</th>
              <th scope="col" class="num">
                Received
              </th>
              <th scope="col" class="num">
                Sent
              </th>
            </tr>
          </thead>
          <tbody>
            {busiest.map(({ link, peer }) => (
              <tr key={peer?.id}>
                <th scope="row" class="nowrap">
                  <a href={`#/peers/${keyToPath(peer?.public_key ?? "")}`}>{peer?.label}</a>
                </th>
                <td class="num">{bitRate(link.rx_bps)}</td>
                <td class="num">{bitRate(link.tx_bps)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
    </section>
  );
}

function peerOf(link: TopologyLink, nodes: globalThis.Map<string, TopologyNode>): TopologyNode | undefined {
  const ends = [nodes.get(link.from), nodes.get(link.to)];
  return ends.some((end) => end?.kind === "gateway") ? ends.find((end) => end?.kind === "peer") : undefined;
}
