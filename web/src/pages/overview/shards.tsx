// Shards, their ports with the modes in force, and their drops by reason.

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { DataPlaneStatus, Port, Shard } from "../../api/types";
import { dropHelp, dropMatrix, dropWord } from "../../lib/drops";
import { bitRate, compact, count, packetRate } from "../../lib/format";
import { rate } from "../../lib/series";
import { Scroller } from "../../ui/parts";

interface Seen {
  plane: DataPlaneStatus;
  at: number;
}

/** Readings closer together than this tell no rate: the counters themselves may be a second old. */
const APART_MS = 1500;

/** The last two readings of the same data plane, from which rates are told. */
function useReadings(plane: DataPlaneStatus): { before: DataPlaneStatus | null; seconds: number } {
  const last = useRef<Seen | null>(null);
  const before = useRef<Seen | null>(null);
  const now = performance.now();
  if (last.current === null || (last.current.plane !== plane && now - last.current.at >= APART_MS)) {
    before.current = last.current?.plane.started_at === plane.started_at ? last.current : null;
    last.current = { plane, at: now };
  }
  return { before: before.current?.plane ?? null, seconds: ((last.current?.at ?? 0) - (before.current?.at ?? 0)) / 1000 };
}

/** All shards with their ports. */
export function Shards({ plane }: { plane: DataPlaneStatus }): JSX.Element {
  const { before, seconds } = useReadings(plane);
  return (
    <section class="card flush" aria-labelledby="shards-h">
      <div class="head">
        <h2 id="shards-h">Shards and ports</h2>
        <span class="aside small muted">{count(plane.handshake_queue)} handshakes waiting</span>
      </div>
      <Scroller label="Shards and ports">
        <table class="shards">
          <thead>
            <tr>
              <th scope="col">Shard, port</th>
              <th scope="col">Mode in force</th>
              <th scope="col" class="num">
                Received
              </th>
              <th scope="col" class="num">
                Sent
              </th>
              <th scope="col" class="num">
                Handshakes
              </th>
              <th scope="col" class="num">
                Handed over
              </th>
              <th scope="col" class="num">
                Dropped
              </th>
            </tr>
          </thead>
          {plane.shards.map((shard) => (
            <ShardRows key={shard.shard} shard={shard} before={before?.shards.find((other) => other.shard === shard.shard)} seconds={seconds} />
          ))}
        </table>
      </Scroller>
    </section>
  );
}

function ShardRows({ shard, before, seconds }: { shard: Shard; before: Shard | undefined; seconds: number }): JSX.Element {
  return (
    <tbody>
      <tr class="shard">
        <th scope="row">
          Shard {shard.shard} <span class="muted small nowrap">{count(shard.active_peers)} active peers</span>
        </th>
        <td>{shard.under_load ? <span class="tag warn">under load: cookies demanded</span> : <span class="muted">–</span>}</td>
        <td class="num">{packetRate(rate(before?.opened, shard.opened, seconds))}</td>
        <td class="num">{packetRate(rate(before?.sealed, shard.sealed, seconds))}</td>
        <td class="num">{count(shard.handshakes)}</td>
        <td class="num">{compact(shard.handed_over)}</td>
        <td class="num">{compact(sum(shard.drops))}</td>
      </tr>
      {shard.ports.map((port, place) => (
        <PortRow key={place} port={port} before={before?.ports[place]} seconds={seconds} />
      ))}
    </tbody>
  );
}

function PortRow({ port, before, seconds }: { port: Port; before: Port | undefined; seconds: number }): JSX.Element {
  const errors = Object.entries(port.errors);
  const bits = (old: number | undefined, now: number) => {
    const bytes = rate(old, now, seconds);
    return bitRate(bytes === null ? null : bytes * 8);
  };
  return (
    <tr class="port">
      <th scope="row">
        {port.role} <span class="muted">{port.queue}</span>
      </th>
      <td>{port.mode}</td>
      <td class="num" title={`${count(port.rx_frames)} frames`}>
        {bits(before?.rx_bytes, port.rx_bytes)}
      </td>
      <td class="num" title={`${count(port.tx_packets)} packets`}>
        {bits(before?.tx_bytes, port.tx_bytes)}
      </td>
      <td class="num muted">–</td>
      <td class="num muted">–</td>
      <td class="num" title={errors.map(([name, n]) => `${dropWord(name)}: ${count(n)}`).join("\n")}>
        {errors.length > 0 ? errors.map(([name, n]) => `${dropWord(name)} ${compact(n)}`).join(", ") : "0"}
      </td>
    </tr>
  );
}

const sum = (drops: Record<string, number>): number => Object.values(drops).reduce((total, n) => total + n, 0);

/** Drops by reason and shard, since the start. */
export function Drops({ shards }: { shards: Shard[] }): JSX.Element {
  const rows = dropMatrix(shards);
  const most = rows[0]?.total ?? 1;
  // Where there is no room for a column for each shard, their sum remains.
  const several = shards.length > 1 ? "one-of-several" : "";
  return (
    <section class="card flush" aria-labelledby="drops-h">
      <div class="head">
        <h2 id="drops-h">Drops by reason</h2>
        <span class="aside small muted">packets since the start</span>
      </div>
      {rows.length === 0 ? (
        <p class="empty">Nothing was dropped.</p>
      ) : (
        <Scroller label="Drops by reason">
          <table>
            <thead>
              <tr>
                <th scope="col">Reason</th>
                {shards.map((shard) => (
                  <th scope="col" class={`num ${several}`} key={shard.shard}>
                    Shard {shard.shard}
                  </th>
                ))}
                {shards.length > 1 && (
                  <th scope="col" class="num">
                    All
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.reason}>
                  <th scope="row">
                    {dropWord(row.reason)}
                    <span class="small muted block">{dropHelp(row.reason)}</span>
                    <span class="meter" aria-hidden="true">
                      <i class="fill" style={{ width: `${Math.max(1, (row.total / most) * 100)}%` }} />
                    </span>
                  </th>
                  {row.counts.map((n, place) => (
                    <td class={`num ${several}`} key={place}>
                      {count(n)}
                    </td>
                  ))}
                  {shards.length > 1 && <td class="num strong">{count(row.total)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
    </section>
  );
}
