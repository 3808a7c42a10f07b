// The map itself: a drawing for those who see, beside the tables that say the same.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { TopologyLink, TopologyNode } from "../../api/types";
import { bitRate, plural } from "../../lib/format";
import { keyToPath } from "../../lib/keys";
import { layout, type Bubble, type Placed } from "../../lib/layout";
import { go } from "../../router";
import { Shape, SHOWN_WORDS, toneOf } from "../../ui/state";
import { nodeShown } from ".";

interface MapProps {
  peers: TopologyNode[];
  links: TopologyLink[];
  gateway: string;
}

interface Tip {
  x: number;
  y: number;
  node: TopologyNode;
}

/** Draws the gateway and its peers. */
export function Map({ peers, links, gateway }: MapProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(720);
  const [tip, setTip] = useState<Tip | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(Math.max(280, element.clientWidth)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const drawn = useMemo(() => layout(peers, width), [peers, width]);
  const traffic = useMemo(() => new globalThis.Map(links.flatMap((link) => [link.from, link.to].map((id) => [id, link] as const))), [links]);
  const rateOf = (node: TopologyNode) => {
    const link = traffic.get(node.id);
    return link ? link.rx_bps + link.tx_bps : 0;
  };
  const hover = (event: MouseEvent, node: TopologyNode) => {
    const target = (event.currentTarget as Element).getBoundingClientRect();
    const frame = box.current?.getBoundingClientRect();
    if (frame) setTip({ x: Math.min(Math.max(target.x + target.width / 2 - frame.x, 90), frame.width - 90), y: target.y - frame.y, node });
  };
  const { center } = drawn;
  return (
    <div class="map" ref={box} onMouseLeave={() => setTip(null)}>
      <svg viewBox={`0 0 ${drawn.width} ${drawn.height}`} role="img" aria-label={`Map of ${gateway} with ${plural(peers.length, "peer")}. The tables beside it say the same in words.`}>
        {drawn.bubbles.map((bubble) =>
          drawn.named ? (
            bubble.items.map((place) => <Spoke key={place.item.id} from={center} to={place} bps={rateOf(place.item)} />)
          ) : (
            <Spoke key={bubble.name} from={center} to={bubble} bps={bubble.items.reduce((sum, place) => sum + rateOf(place.item), 0)} />
          ),
        )}
        {drawn.bubbles.map((bubble) => (
          <g key={bubble.name}>
            {!drawn.named && <BubbleBack bubble={bubble} above={bubble.y < center.y - 1} letters={drawn.letters} />}
            {bubble.items.map((place) => (
              <Node key={place.item.id} place={place} named={drawn.named} below={place.y >= center.y} onHover={hover} onLeave={() => setTip(null)} />
            ))}
          </g>
        ))}
        <rect class="gateway" x={center.x - 3.7 * drawn.letters} y={center.y - 1.4 * drawn.letters} width={7.4 * drawn.letters} height={2.8 * drawn.letters} rx={0.75 * drawn.letters} />
        <text class="gateway-ink" x={center.x} y={center.y + 0.35 * drawn.letters} font-size={drawn.letters} text-anchor="middle">
          {cut(gateway, 12)}
        </text>
      </svg>
      {tip && (
        <div class="tip" style={{ left: `${tip.x}px`, top: `${tip.y}px` }} aria-hidden="true">
          {tip.node.label}: {SHOWN_WORDS[nodeShown(tip.node)].toLowerCase()}
          {rateOf(tip.node) > 0 && `, ${bitRate(rateOf(tip.node))}`}
        </div>
      )}
    </div>
  );
}

function Spoke({ from, to, bps }: { from: { x: number; y: number }; to: { x: number; y: number }; bps: number }): JSX.Element {
  // The width tells the order of magnitude: a kilobit is a hair, a gigabit a rope.
  const wide = bps <= 0 ? 0.8 : Math.min(7, 0.8 + Math.max(0, Math.log10(bps) - 3));
  return <path class="spoke" d={`M${from.x} ${from.y}L${to.x} ${to.y}`} stroke-width={wide} />;
}

function BubbleBack({ bubble, above, letters }: { bubble: Bubble<TopologyNode>; above: boolean; letters: number }): JSX.Element {
  return (
    <>
      <circle class="bubble" cx={bubble.x} cy={bubble.y} r={bubble.r} />
      <text class="faint" x={bubble.x} y={above ? bubble.y - bubble.r - 0.6 * letters : bubble.y + bubble.r + 1.3 * letters} font-size={letters} text-anchor="middle">
        {cut(bubble.name || "no group", 18)} · {bubble.items.length}
      </text>
    </>
  );
}

interface NodeProps {
  place: Placed<TopologyNode>;
  named: boolean;
  below: boolean;
  onHover: (event: MouseEvent, node: TopologyNode) => void;
  onLeave: () => void;
}

function Node({ place, named, below, onHover, onLeave }: NodeProps): JSX.Element {
  const { item, x, y } = place;
  const shown = nodeShown(item);
  const size = named ? 18 : 9;
  return (
    <g class={`node ${toneOf(shown)}`} transform={`translate(${x - size / 2} ${y - size / 2})`} onMouseEnter={(event) => onHover(event, item)} onMouseLeave={onLeave} onClick={() => item.public_key && go(`#/peers/${keyToPath(item.public_key)}`)}>
      <circle cx={size / 2} cy={size / 2} r={size / 2 + 2} class="halo" />
      <g transform={`scale(${size / 12})`}>
        <Shape shown={shown} bare />
      </g>
      {named && (
        <text x={size / 2} y={below ? size + 15 : -8} font-size="12" text-anchor="middle">
          {cut(item.label, 16)}
        </text>
      )}
    </g>
  );
}

const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
