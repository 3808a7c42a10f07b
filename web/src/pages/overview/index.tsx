// The gateway at a glance: what passes, who is connected, what is wrong.

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { bitRate, compact, count, instant, packetRate, plural, span } from "../../lib/format";
import { alerts, readStatus, recent, status, throughput, tick } from "../../state/gateway";
import type { DataPlaneStatus, PeerCounts } from "../../api/types";
import { AlertList } from "../alerts";
import { Chart } from "../../ui/chart";
import { Icon } from "../../ui/icons";
import { useEvery } from "../../ui/load";
import { Ago, Copy, Note, PageHead, present } from "../../ui/parts";
import { Drops, Shards } from "./shards";
import { Recent } from "./recent";

const STATUS_MS = 3000;

/** The overview. */
export function Overview(): JSX.Element {
  const read = () => void readStatus().catch(() => undefined);
  useEffect(read, []);
  useEvery(STATUS_MS, read);
  const now = status.value;
  const plane = now?.dataplane ?? null;
  return (
    <>
      <PageHead title={plane ? `Gateway ${plane.interface}` : "Gateway"} lead={plane && <Identity plane={plane} />} />
      <Tiles counts={tick.value?.peers ?? now?.peers ?? null} />
      <section class="card" aria-labelledby="live-h">
        <div class="head">
          <h2 id="live-h">Last five minutes</h2>
          <span class="aside small muted">one point a second</span>
        </div>
        <LiveCharts />
      </section>
      {(alerts.value?.length ?? 0) > 0 && (
        <section class="stack tight" aria-labelledby="alerts-h">
          <h2 id="alerts-h">Alerts</h2>
          <AlertList items={(alerts.value ?? []).slice(0, 3)} />
          {(alerts.value?.length ?? 0) > 3 && <a href="#/alerts">All {alerts.value?.length} alerts</a>}
        </section>
      )}
      {now && <Warnings warnings={plane?.warnings ?? []} store={now.control.store} trouble={now.control.store_trouble} waiting={now.control.pending} away={plane === null} />}
      {plane && <Shards plane={plane} />}
      <div class="grid2">
        {plane && <Drops shards={plane.shards} />}
        <div class="stack">
          <Recent happenings={recent.value} refused={plane?.refused ?? []} />
          {plane && <BackEnds plane={plane} />}
        </div>
      </div>
    </>
  );
}

function Identity({ plane }: { plane: DataPlaneStatus }): JSX.Element {
  return (
    <span class="row">
      <span>UDP port {plane.listen_port}</span>
      <span aria-hidden="true">·</span>
      <span>
        up {span((present.value - (instant(plane.started_at) ?? present.value)) / 1000)}
      </span>
      <span aria-hidden="true">·</span>
      <span>Weir {plane.version}</span>
      {plane.public_key && (
        <>
          <span aria-hidden="true">·</span>
          <span class="row tight-row">
            <code class="break">{plane.public_key}</code>
            <Copy text={plane.public_key} label="Public key" />
          </span>
        </>
      )}
    </span>
  );
}

function Tiles({ counts }: { counts: PeerCounts | null }): JSX.Element {
  const now = tick.value;
  const shakes = sumOf(5, 60);
  const dropped = sumOf(6, 60);
  return (
    <dl class="tiles">
      <Tile word="Received" value={bitRate(now?.rx_bps)} small={packetRate(now?.rx_pps)} />
      <Tile word="Sent" value={bitRate(now?.tx_bps)} small={packetRate(now?.tx_pps)} />
      <Tile word="Peers connected" value={counts ? count(counts.connected) : "–"} small={counts ? `of ${count(counts.total)}` : ""} />
      <Tile word="Without a session" value={counts ? count(counts.disconnected) : "–"} small={counts ? `${plural(counts.degraded, "peer")} degraded` : ""} />
      <Tile word="Handshakes" value={compact(shakes)} small="in the last minute" />
      <Tile word="Dropped" value={compact(dropped)} small="packets in the last minute" />
    </dl>
  );
}

function sumOf(column: number, seconds: number): number {
  return (throughput.value[column] ?? []).slice(-seconds).reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

function Tile({ word, value, small }: { word: string; value: string; small: string }): JSX.Element {
  const mark = value.indexOf(" ");
  return (
    <div class="tile">
      <dt>{word}</dt>
      <dd>
        {mark < 0 ? value : value.slice(0, mark)}
        {mark >= 0 && <span class="unit"> {value.slice(mark + 1)}</span>}
        <small>{small}</small>
      </dd>
    </div>
  );
}

function LiveCharts(): JSX.Element {
  const [at = [], rx = [], tx = [], rxp = [], txp = [], shakes = [], drops = []] = throughput.value;
  if (at.length === 0) return <p class="muted">Nothing measured yet.</p>;
  const last = (column: (number | null)[]) => column[column.length - 1] ?? 0;
  return (
    <div class="chart-grid">
      <Chart
        group="live"
        spanS={300}
        height={190}
        least={1000}
        label={`Throughput: now ${bitRate(last(rx))} received, ${bitRate(last(tx))} sent.`}
        unit={bitRate}
        lines={[
          { label: "Received", color: "--rx", fill: true },
          { label: "Sent", color: "--tx", fill: true },
        ]}
        data={[at, rx, tx]}
      />
      <Chart
        group="live"
        spanS={300}
        height={190}
        label={`Packets: now ${packetRate(last(rxp))} received, ${packetRate(last(txp))} sent.`}
        unit={packetRate}
        lines={[
          { label: "Received", color: "--rx" },
          { label: "Sent", color: "--tx" },
        ]}
        data={[at, rxp, txp]}
      />
      <Chart group="live" spanS={300} height={120} least={4} label={`Handshakes: now ${last(shakes)} a second.`} unit={perSecond} lines={[{ label: "Handshakes", color: "--ok", bars: true }]} data={[at, shakes]} />
      <Chart group="live" spanS={300} height={120} least={4} label={`Drops: now ${last(drops)} a second.`} unit={perSecond} lines={[{ label: "Dropped packets", color: "--bad", bars: true }]} data={[at, drops]} />
    </div>
  );
}

const perSecond = (value: number): string => `${compact(value)} /s`;

const STORE_WORDS = {
  ok: "",
  last_good_copy: "The store was damaged; its last good copy is in use.",
  read_only: "The store cannot be written: its file system is read-only. Nothing can be changed here.",
  full: "The store cannot be written: no space is left. Nothing can be changed here.",
} as const;

function Warnings(props: { warnings: string[]; store: keyof typeof STORE_WORDS; trouble: string | null; waiting: number; away: boolean }): JSX.Element | null {
  const store = STORE_WORDS[props.store];
  if (props.warnings.length === 0 && !store && props.waiting === 0) return null;
  return (
    <section class="stack tight" aria-labelledby="warnings-h">
      <h2 id="warnings-h">Worth knowing</h2>
      {store && (
        <Note tone="bad">
          <p class="strong">{store}</p>
          {props.trouble && <p class="plain-ink">{props.trouble}</p>}
        </Note>
      )}
      {props.waiting > 0 && <Note>{plural(props.waiting, "change")} not yet confirmed by the data plane.</Note>}
      {props.warnings.length > 0 && (
        <Note tone="warn">
          {props.warnings.map((warning) => (
            <p key={warning}>{warning}</p>
          ))}
        </Note>
      )}
    </section>
  );
}

function BackEnds({ plane }: { plane: DataPlaneStatus }): JSX.Element {
  const best = plane.aead === plane.aead_best;
  return (
    <section class="card" aria-labelledby="ends-h">
      <div class="head">
        <h2 id="ends-h">Data plane</h2>
      </div>
      <dl class="facts">
        <dt>Encryption</dt>
        <dd>
          {plane.aead}
          {best ? <span class="muted"> – the best for this CPU</span> : <span class="warn"> – this CPU could do {plane.aead_best}</span>}
        </dd>
        <dt>Steering</dt>
        <dd>{plane.steering}</dd>
        <dt>Addresses</dt>
        <dd>{plane.addresses.join(", ") || "none"}</dd>
        <dt>Clients reach it at</dt>
        <dd>{plane.client_endpoint ?? <span class="warn">not set: the configurations of clients lack their endpoint</span>}</dd>
        <dt>DNS for clients</dt>
        <dd>{plane.dns.join(", ") || "none"}</dd>
        <dt>MTU</dt>
        <dd>{plane.mtu} B</dd>
        <dt>Forwarding</dt>
        <dd>
          {plane.forwarding ? (
            "on"
          ) : (
            <span class="warn">
              <Icon name="warning" /> off: clients reach only this host
            </span>
          )}
        </dd>
        <dt>Revision</dt>
        <dd>
          {count(plane.revision)} · process {plane.pid} · started <Ago at={plane.started_at} />
        </dd>
      </dl>
    </section>
  );
}
