// What an administrator can set, and the backup of all that is kept.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { read, send } from "../../api/client";
import type { AlertThresholds, Settings as Values } from "../../api/types";
import { may } from "../../state/session";
import { Radios, Refusal, Text, useSending } from "../../ui/form";
import { useLoad } from "../../ui/load";
import { Failure, Loading, Note, PageHead } from "../../ui/parts";
import { say } from "../../ui/toasts";
import { Backup } from "./backup";

/** The page. */
export function Settings(): JSX.Element {
  const loaded = useLoad("settings", (signal) => read<Values>("/settings", { signal }));
  return (
    <>
      <PageHead title="Settings" lead="The gateway's own configuration, its ports and networks, is in weir.toml on the host." />
      {loaded.error !== null && <Failure error={loaded.error} again={loaded.reload} />}
      {!loaded.data && loaded.error === null && <Loading />}
      {loaded.data && <SettingsForm values={loaded.data.data} etag={loaded.data.etag} reload={loaded.reload} />}
      {may("backup") && <Backup />}
      <section class="card stack tight" aria-labelledby="docs-h">
        <h2 id="docs-h">API</h2>
        <p>
          All that this page does goes through the HTTP API, which <a href="/v1/docs">its documentation</a> describes. The document itself: <a href="/v1/openapi.json">openapi.json</a>.
        </p>
      </section>
    </>
  );
}

type Draft = Record<"session_hours" | "session_idle_minutes" | keyof AlertThresholds, string> & { metrics_names: Values["metrics_names"] };

const NUMBERS = ["session_hours", "session_idle_minutes"] as const;

const THRESHOLDS: { name: keyof AlertThresholds; label: string; help: string }[] = [
  { name: "peer_gone_s", label: "A peer is gone after, seconds", help: "Without an authenticated packet, of a peer that was connected." },
  { name: "refused_handshakes_per_minute", label: "Refused handshakes a minute", help: "More raise an alert." },
  { name: "cookie_replies_per_minute", label: "Cookie replies a minute", help: "More mean a flood of handshakes." },
  { name: "decrypt_failures_per_minute", label: "Failed decryptions a minute", help: "More raise an alert." },
  { name: "drops_per_mille", label: "Drops of a thousand packets", help: "More raise an alert." },
];

const FIELDS = [...NUMBERS, ...THRESHOLDS.map((threshold) => threshold.name), "metrics_names"];

function draftOf(values: Values): Draft {
  const draft = { metrics_names: values.metrics_names } as Draft;
  for (const name of NUMBERS) draft[name] = String(values[name]);
  for (const { name } of THRESHOLDS) draft[name] = String(values.alerts[name]);
  return draft;
}

/** What is no number goes as it was typed, for the server to say what it expects. */
const numbered = (text: string): number => (text.trim() === "" || Number.isNaN(Number(text)) ? (text as unknown as number) : Number(text));

function inputOf(draft: Draft): Values {
  const alerts = Object.fromEntries(THRESHOLDS.map(({ name }) => [name, numbered(draft[name])])) as unknown as AlertThresholds;
  return { session_hours: numbered(draft.session_hours), session_idle_minutes: numbered(draft.session_idle_minutes), alerts, metrics_names: draft.metrics_names };
}

function SettingsForm({ values, etag, reload }: { values: Values; etag: string | null; reload: () => void }): JSX.Element {
  const [draft, setDraft] = useState(() => draftOf(values));
  useEffect(() => setDraft(draftOf(values)), [values]);
  const [sending, submit] = useSending(FIELDS, async () => {
    await send("PUT", "/settings", { body: inputOf(draft), ifMatch: etag });
    say("Saved.");
    reload();
  });
  const writable = may("settings:write");
  const set = (change: Partial<Draft>) => setDraft({ ...draft, ...change });
  const number = { type: "number", min: 1 } as const;
  return (
    <form class="stack" onSubmit={submit} noValidate>
      <fieldset class="stack" disabled={!writable}>
        <legend class="hidden-label">Settings</legend>
        {!writable && <Note icon="lock">Only administrators change settings.</Note>}
        <section class="card stack" aria-labelledby="alerts-set-h">
          <h2 id="alerts-set-h">Alerts</h2>
          <div class="fields">
            {THRESHOLDS.map(({ name, label, help }) => (
              <Text key={name} label={label} name={name} value={draft[name]} onChange={(text) => set({ [name]: text })} faults={sending.faults} help={help} input={number} />
            ))}
          </div>
        </section>
        <section class="card stack" aria-labelledby="sessions-h">
          <h2 id="sessions-h">Sessions</h2>
          <div class="fields">
            <Text label="Ends after, hours" name="session_hours" value={draft.session_hours} onChange={(text) => set({ session_hours: text })} faults={sending.faults} help="However busy." input={number} />
            <Text label="Ends unused after, minutes" name="session_idle_minutes" value={draft.session_idle_minutes} onChange={(text) => set({ session_idle_minutes: text })} faults={sending.faults} help="Counted from the last request." input={number} />
          </div>
        </section>
        <section class="card stack" aria-labelledby="metrics-h">
          <h2 id="metrics-h">Metrics</h2>
          <Radios
            label="Names of the metrics of peers"
            name="metrics_names"
            value={draft.metrics_names}
            onChange={(metrics_names) => set({ metrics_names })}
            options={[
              { value: "12177", label: "Grafana dashboard 12177", help: "For its dashboard and those made from it." },
              { value: "mindflavor", label: "MindFlavor's exporter", help: "For dashboards made for prometheus_wireguard_exporter." },
            ]}
          />
        </section>
        <Refusal sending={sending} />
        {writable && (
          <div>
            <button type="submit" class="button primary" aria-disabled={sending.busy}>
              {sending.busy ? "Saving…" : "Save the settings"}
            </button>
          </div>
        )}
      </fieldset>
    </form>
  );
}
