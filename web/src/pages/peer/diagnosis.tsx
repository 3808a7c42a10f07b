// "Why no handshake?": what the gateway observed of a peer, how sure it is, and what to do.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import type { Diagnosis as Found, Finding, Peer, Probe } from "../../api/types";
import { milliseconds } from "../../lib/format";
import { keyToPath } from "../../lib/keys";
import { may } from "../../state/session";
import { Icon } from "../../ui/icons";
import { Failure, Note } from "../../ui/parts";

const TONES = { certain: "bad", likely: "warn", possible: "" } as const;
const WORDS = { certain: "Certain", likely: "Likely", possible: "Possible" } as const;

/** Asks for a diagnosis and shows it. */
export function Diagnosis({ peer }: { peer: Peer }): JSX.Element {
  const [found, setFound] = useState<Found | null>(null);
  const [busy, setBusy] = useState<"look" | "probe" | null>(null);
  const [error, setError] = useState<unknown>(null);
  const ask = async (probe: boolean) => {
    if (busy) return;
    setBusy(probe ? "probe" : "look");
    setError(null);
    try {
      setFound((await send<Found>("POST", `/peers/${keyToPath(peer.public_key)}/diagnosis`, { body: { probe } })).data);
    } catch (failure) {
      setError(failure);
    }
    setBusy(null);
  };
  const well = peer.live.state === "connected" && peer.live.health !== "degraded";
  return (
    <section class="card stack" aria-labelledby="why-h">
      <div class="head">
        <h2 id="why-h">{well ? "Is anything wrong?" : "Why no handshake?"}</h2>
      </div>
      <div class="row">
        <button type="button" class="button" aria-disabled={busy !== null} onClick={() => void ask(false)}>
          <Icon name="search" /> {busy === "look" ? "Looking…" : "Diagnose"}
        </button>
        {may("peers:write") && (
          <button type="button" class="button" aria-disabled={busy !== null} onClick={() => void ask(true)}>
            {busy === "probe" ? "Probing, up to 5 s…" : "Diagnose with a probe"}
          </button>
        )}
        {may("peers:write") && <span class="muted small">A probe begins a handshake and sends echos through the tunnel.</span>}
      </div>
      <div aria-live="polite" class="stack tight">
        {error !== null && <Failure error={error} />}
        {found && found.findings.length === 0 && <Note tone="ok">Nothing is wrong with what the gateway can see. {found.state_reason}</Note>}
        {found && (
          <ol class="stack tight">
            {found.findings.map((finding) => (
              <FindingView key={finding.code} finding={finding} />
            ))}
          </ol>
        )}
        {found?.probe && <ProbeView probe={found.probe} />}
      </div>
    </section>
  );
}

function FindingView({ finding }: { finding: Finding }): JSX.Element {
  return (
    <li class="finding" data-code={finding.code}>
      <p class="row">
        <span class={`tag ${TONES[finding.certainty]}`}>{WORDS[finding.certainty]}</span>
        <span class="strong">{finding.summary}</span>
      </p>
      <p>{finding.detail}</p>
      <p class="muted">
        <span class="strong">What to do:</span> {finding.remedy}
      </p>
    </li>
  );
}

function ProbeView({ probe }: { probe: Probe }): JSX.Element {
  const answered = (ms: number | null) => (ms === null ? <span class="bad">no answer</span> : milliseconds(ms));
  return (
    <dl class="facts probe">
      <dt>Handshake</dt>
      <dd>{probe.handshake ? <>completed{probe.handshake_ms !== null && ` in ${milliseconds(probe.handshake_ms)}`}</> : <span class="bad">did not complete</span>}</dd>
      <dt>Small echo</dt>
      <dd>{answered(probe.small_ms)}</dd>
      <dt>Large echo</dt>
      <dd>
        {answered(probe.large_ms)} {probe.large_bytes !== null && <span class="muted">of {probe.large_bytes} B</span>}
      </dd>
      {probe.note && (
        <>
          <dt>Note</dt>
          <dd>{probe.note}</dd>
        </>
      )}
    </dl>
  );
}
