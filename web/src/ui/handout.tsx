// A client's configuration, shown once: as a QR code for a phone, as text, as a file.

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { encode } from "uqr";
import { Icon } from "./icons";
import { Copy, Note, save } from "./parts";

const QUIET = 4;

/** A text as a QR code: one path of dark squares on white, in either theme, since cameras want it so. */
export function QrCode({ text, label }: { text: string; label: string }): JSX.Element {
  const { size, path } = useMemo(() => {
    const code = encode(text, { ecc: "M", border: 0 });
    let drawn = "";
    code.data.forEach((line, y) => {
      for (let x = 0; x < line.length; x++) {
        if (!line[x]) continue;
        let run = 1;
        while (line[x + run]) run += 1;
        drawn += `M${x + QUIET} ${y + QUIET}h${run}v1h-${run}z`;
        x += run - 1;
      }
    });
    return { size: code.size + 2 * QUIET, path: drawn };
  }, [text]);
  return (
    <div class="qr">
      <svg viewBox={`0 0 ${size} ${size}`} shape-rendering="crispEdges" role="img" aria-label={label}>
        <path fill="#fff" d={`M0 0h${size}v${size}H0z`} />
        <path fill="#000" d={path} />
      </svg>
    </div>
  );
}

/** A file name that every system takes. */
export const confName = (name: string): string => `${name.replace(/[^A-Za-z0-9_=+.-]+/g, "-").slice(0, 15) || "weir"}.conf`;

/** A configuration to hand out. With a private key in it, it is told that it is not shown again. */
export function Handout({ name, config, whole = true }: { name: string; config: string; whole?: boolean }): JSX.Element {
  return (
    <div class="stack">
      <Note tone="warn">
        {whole ? (
          <p>
            <span class="strong">Shown this once.</span> The private key in it is not kept on the gateway. Hand it over now, by a way that nobody else reads.
          </p>
        ) : (
          <p>
            <span class="strong">Shown this once.</span> The client puts its own private key in the place of the first line, and this preshared key into its configuration.
          </p>
        )}
      </Note>
      <div class="handout">
        {whole && (
          <div class="stack tight">
            <QrCode text={config} label={`QR code of the configuration of ${name}`} />
            <p class="small muted">In the WireGuard app: add a tunnel, scan from QR code.</p>
          </div>
        )}
        <div class="stack tight">
          <pre class="conf" tabIndex={0} aria-label="Configuration" data-secret="conf">
            {config}
          </pre>
          <div class="row">
            <button type="button" class="button primary" onClick={() => save(confName(name), config)}>
              <Icon name="download" /> Download {confName(name)}
            </button>
            <Copy text={config} label="Configuration" word="Copy" small={false} />
          </div>
        </div>
      </div>
    </div>
  );
}
