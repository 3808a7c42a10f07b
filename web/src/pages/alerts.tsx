// What is wrong now, and what to do about it.

import type { JSX } from "preact";
import type { Alert } from "../api/types";
import { keyToPath } from "../lib/keys";
import { alerts, readAlerts } from "../state/gateway";
import { Icon } from "../ui/icons";
import { useEvery } from "../ui/load";
import { Ago, Loading, PageHead } from "../ui/parts";

const WORDS = { critical: "Critical", warning: "Warning", info: "Note" } as const;
const TONES = { critical: "bad", warning: "warn", info: "accent" } as const;
const REFRESH_MS = 10_000;

/** The alerts page. */
export function Alerts(): JSX.Element {
  useEvery(REFRESH_MS, () => void readAlerts().catch(() => undefined));
  const items = alerts.value;
  return (
    <>
      <PageHead title="Alerts" lead="An alert stays here while its cause lasts. When they are raised is set in the settings." />
      {items === null && <Loading />}
      {items?.length === 0 && (
        <div class="card empty">
          <Icon name="check" />
          <p>Nothing is wrong.</p>
        </div>
      )}
      {items && items.length > 0 && <AlertList items={items} />}
    </>
  );
}

/** Alerts, the gravest first. */
export function AlertList({ items }: { items: Alert[] }): JSX.Element {
  const order = ["critical", "warning", "info"];
  const sorted = [...items].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
  return (
    <ul class="stack tight">
      {sorted.map((alert) => (
        <li key={alert.id} class={`card alert ${alert.severity}`}>
          <div class="row">
            <span class={`tag ${TONES[alert.severity]}`}>{WORDS[alert.severity]}</span>
            <span class="strong">{alert.summary}</span>
            <span class="muted small push">
              since <Ago at={alert.since} />
            </span>
          </div>
          <p>{alert.detail}</p>
          <p class="muted">
            {alert.remedy}
            {alert.public_key && (
              <>
                {" "}
                <a href={`#/peers/${keyToPath(alert.public_key)}`}>Open the peer</a>
              </>
            )}
          </p>
        </li>
      ))}
    </ul>
  );
}
