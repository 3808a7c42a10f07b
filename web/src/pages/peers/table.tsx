// The table of peers: ten thousand rows of which some forty are drawn, those that are in view.

import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Peer } from "../../api/types";
import { bytes } from "../../lib/format";
import { keyToPath } from "../../lib/keys";
import { called } from "../../lib/names";
import { windowed } from "../../lib/pages";
import { may } from "../../state/session";
import { Icon } from "../../ui/icons";
import { Ago } from "../../ui/parts";
import { PeerStateMark } from "../../ui/state";

interface Column {
  name: string;
  word: string;
  sort?: string;
  number?: boolean;
}

const COLUMNS: Column[] = [
  { name: "state", word: "State", sort: "state" },
  { name: "name", word: "Name", sort: "name" },
  { name: "groups", word: "Groups" },
  { name: "ips", word: "Addresses", sort: "allowed_ips" },
  { name: "endpoint", word: "Reached at" },
  { name: "shake", word: "Handshake", sort: "last_handshake", number: true },
  { name: "rx", word: "Received", sort: "rx_bytes", number: true },
  { name: "tx", word: "Sent", sort: "tx_bytes", number: true },
];

const NARROW = "(max-width: 720px)";
const ROW = 41;
const ROW_NARROW = 60;

interface TableProps {
  peers: Peer[];
  total: number;
  sort: string;
  onSort: (sort: string) => void;
  chosen: Signal<ReadonlySet<string>>;
  onShown: (first: number, end: number) => void;
}

/** The table. Its rows have one height, so that what is out of view is a space above and below. */
export function PeerTable(props: TableProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const row = useRowHeight();
  const view = useView(box, row, props.total);
  useEffect(() => props.onShown(view.first, view.end), [view.first, view.end, props.total, props.peers.length === 0]);
  const choosing = may("peers:write");
  const rows: JSX.Element[] = [];
  for (let place = view.first; place < view.end; place++) {
    const peer = props.peers[place];
    rows.push(peer ? <Row key={peer.public_key} peer={peer} place={place} chosen={props.chosen} choosing={choosing} /> : <Awaited key={place} place={place} />);
  }
  return (
    <div class="card flush peers" ref={box}>
      <table aria-rowcount={props.total + 1} aria-label="Peers">
        <thead>
          <tr aria-rowindex={1}>
            {choosing && <HeadChoice {...props} />}
            {COLUMNS.map((column) => (
              <HeadCell key={column.name} column={column} sort={props.sort} onSort={props.onSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          <Space height={view.first * row} />
          {rows}
          <Space height={(props.total - view.end) * row} />
        </tbody>
      </table>
    </div>
  );
}

function HeadCell({ column, sort, onSort }: { column: Column; sort: string; onSort: (sort: string) => void }): JSX.Element {
  const by = column.sort;
  const up = by !== undefined && sort === by;
  const down = by !== undefined && sort === `-${by}`;
  return (
    <th scope="col" class={`c-${column.name} ${column.number ? "num" : ""}`} {...(up ? { "aria-sort": "ascending" as const } : down ? { "aria-sort": "descending" as const } : {})}>
      {by ? (
        // Numbers and times are wanted greatest first, names from A.
        <button type="button" class="sort" onClick={() => onSort(up ? `-${by}` : down ? by : column.number ? `-${by}` : by)}>
          {column.word}
          {(up || down) && <Icon name={up ? "up" : "down"} />}
        </button>
      ) : (
        column.word
      )}
    </th>
  );
}

function HeadChoice({ peers, chosen }: TableProps): JSX.Element {
  const own = peers.filter((peer) => peer.owner === "control");
  const all = own.length > 0 && own.every((peer) => chosen.value.has(peer.public_key));
  return (
    <th scope="col" class="c-choice">
      <input type="checkbox" aria-label="Choose all that are loaded" checked={all} onChange={() => (chosen.value = new Set(all ? [] : own.map((peer) => peer.public_key)))} />
    </th>
  );
}

function Row({ peer, place, chosen, choosing }: { peer: Peer; place: number; chosen: TableProps["chosen"]; choosing: boolean }): JSX.Element {
  const isChosen = chosen.value.has(peer.public_key);
  const choose = () => {
    const next = new Set(chosen.peek());
    if (!next.delete(peer.public_key)) next.add(peer.public_key);
    chosen.value = next;
  };
  const name = called(peer);
  return (
    <tr aria-rowindex={place + 2} class={isChosen ? "chosen" : ""} data-key={peer.public_key}>
      {choosing && (
        <td class="c-choice">
          {peer.owner === "file" ? (
            <span class="file-lock" title="Declared in weir.toml: change it there">
              <Icon name="lock" />
              <span class="hidden-label">Declared in weir.toml</span>
            </span>
          ) : (
            <input type="checkbox" aria-label={`Choose ${name}`} checked={isChosen} onChange={choose} />
          )}
        </td>
      )}
      <td class="c-state">
        <PeerStateMark peer={peer} />
      </td>
      <th scope="row" class="c-name">
        <a href={`#/peers/${keyToPath(peer.public_key)}`} class={`peer-name ${peer.name ? "" : "mono"}`} title={name}>
          {name}
        </a>
        {peer.owner === "file" && !choosing && <span class="tag">weir.toml</span>}
        {peer.conflict && (
          <span class="tag bad" title={peer.conflict}>
            conflict
          </span>
        )}
      </th>
      <td class="c-groups" title={peer.groups.join(", ")}>
        {peer.groups.slice(0, 2).map((group) => (
          <span class="tag" key={group}>
            {group}
          </span>
        ))}
        {peer.groups.length > 2 && <span class="small muted">+{peer.groups.length - 2}</span>}
      </td>
      <td class="c-ips mono" title={peer.allowed_ips.join(", ")}>
        {peer.allowed_ips[0]}
        {peer.allowed_ips.length > 1 && <span class="muted"> +{peer.allowed_ips.length - 1}</span>}
      </td>
      <td class="c-endpoint mono" title={peer.live.endpoint ?? ""}>
        {peer.live.endpoint ?? <span class="muted">–</span>}
      </td>
      <td class="c-shake num">
        <Ago at={peer.live.last_handshake_at} />
      </td>
      <td class="c-rx num">{bytes(peer.live.rx_bytes_total)}</td>
      <td class="c-tx num">{bytes(peer.live.tx_bytes_total)}</td>
    </tr>
  );
}

function Awaited({ place }: { place: number }): JSX.Element {
  return (
    <tr aria-rowindex={place + 2} class="awaited">
      <td class="muted">…</td>
    </tr>
  );
}

function Space({ height }: { height: number }): JSX.Element | null {
  if (height <= 0) return null;
  return (
    <tr aria-hidden="true" class="space">
      <td style={{ height: `${height}px` }} />
    </tr>
  );
}

function useRowHeight(): number {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const media = matchMedia(NARROW);
    const follow = () => setNarrow(media.matches);
    media.addEventListener("change", follow);
    return () => media.removeEventListener("change", follow);
  }, []);
  return narrow ? ROW_NARROW : ROW;
}

/** Which rows are in the window's view. */
function useView(box: { current: HTMLElement | null }, row: number, total: number): { first: number; end: number } {
  const [view, setView] = useState(() => windowed(0, innerHeight, row, total));
  useEffect(() => {
    let asked = 0;
    const look = () => {
      asked = 0;
      const top = box.current?.getBoundingClientRect().top ?? 0;
      const next = windowed(Math.max(0, -top), innerHeight, row, total);
      setView((now) => (now.first === next.first && now.end === next.end ? now : next));
    };
    const follow = () => {
      if (asked === 0) asked = requestAnimationFrame(look);
    };
    look();
    addEventListener("scroll", follow, { passive: true });
    addEventListener("resize", follow);
    return () => {
      cancelAnimationFrame(asked);
      removeEventListener("scroll", follow);
      removeEventListener("resize", follow);
    };
  }, [row, total]);
  return { first: Math.min(view.first, total), end: Math.min(view.end, total) };
}
