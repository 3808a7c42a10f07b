// Backup and restore: one encrypted file with all that is kept.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { download, preview, send, serverNow, told } from "../../api/client";
import type { DiffEntry, Restored } from "../../api/types";
import { plural } from "../../lib/format";
import { daysFrom } from "../../lib/times";
import { Diff } from "../../ui/diff";
import { Field, Refusal, Text, useSending } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Note, save } from "../../ui/parts";
import { say } from "../../ui/toasts";

/** Both sides. */
export function Backup(): JSX.Element {
  return (
    <div class="grid2">
      <Make />
      <Restore />
    </div>
  );
}

function Make(): JSX.Element {
  const [passphrase, setPassphrase] = useState("");
  const [again, setAgain] = useState("");
  const [differ, setDiffer] = useState(false);
  const [sending, submit] = useSending(["passphrase"], async () => {
    setDiffer(passphrase !== again);
    if (passphrase !== again) return;
    save(`weir-backup-${daysFrom(serverNow(), 0).slice(0, 10)}.weir`, await download("POST", "/backup", { body: { passphrase } }));
    setPassphrase("");
    setAgain("");
    say("The backup is made.");
  });
  const faults = differ ? { ...sending.faults, again: "Expected the same passphrase as above." } : sending.faults;
  return (
    <section class="card" aria-labelledby="backup-h">
      <form class="form" onSubmit={submit} noValidate>
        <h2 id="backup-h">Make a backup</h2>
        <p class="muted small">Peers, rules, users, tokens, settings and the audit log, encrypted. Without the passphrase nobody reads it, and nobody restores it.</p>
        <Refusal sending={sending} />
        <Text label="Passphrase" name="passphrase" value={passphrase} onChange={setPassphrase} faults={faults} input={{ type: "password", autocomplete: "new-password" }} />
        <Text label="Passphrase again" name="again" value={again} onChange={setAgain} faults={faults} input={{ type: "password", autocomplete: "new-password" }} />
        <div>
          <button type="submit" class="button" aria-disabled={sending.busy}>
            <Icon name="download" /> {sending.busy ? "Encrypting…" : "Download the backup"}
          </button>
        </div>
      </form>
    </section>
  );
}

function Restore(): JSX.Element {
  const [file, setFile] = useState<File | null>(null);
  const [passphrase, setPassphrase] = useState("");
  const [diff, setDiff] = useState<DiffEntry[] | null>(null);
  const [backup, setBackup] = useState("");
  const [sending, submit] = useSending(["passphrase", "backup"], async () => {
    if (!file) throw new Error("Choose the backup's file first.");
    const content = await base64(file);
    setBackup(content);
    setDiff(await preview("POST", "/restore", { body: { passphrase, backup: content } }));
  });
  const [applying, apply] = useSending([], async () => {
    const done = (await send<Restored>("POST", "/restore", { body: { passphrase, backup } })).data;
    setDiff(null);
    setPassphrase("");
    say(`Restored: ${plural(done.peers, "peer")}, ${plural(done.rules, "rule")}, ${plural(done.users, "user")}.`);
  });
  return (
    <section class="card" aria-labelledby="restore-h">
      <form class="form" onSubmit={submit} noValidate>
        <h2 id="restore-h">Restore a backup</h2>
        <p class="muted small">Replaces all that is kept here by what the backup holds. First you see what would change.</p>
        <Refusal sending={sending} />
        <Field
          label="Backup"
          name="backup"
          faults={sending.faults}
          control={(wiring) => (
            <input
              {...wiring}
              type="file"
              onChange={(event) => {
                setFile(event.currentTarget.files?.[0] ?? null);
                setDiff(null);
              }}
            />
          )}
        />
        <Text
          label="Its passphrase"
          name="passphrase"
          value={passphrase}
          onChange={(text) => {
            setPassphrase(text);
            setDiff(null);
          }}
          faults={sending.faults}
          input={{ type: "password", autocomplete: "off" }}
        />
        {diff === null ? (
          <div>
            <button type="submit" class="button" aria-disabled={sending.busy}>
              {sending.busy ? "Decrypting…" : "Show what would change"}
            </button>
          </div>
        ) : (
          <div class="stack tight">
            <Diff entries={diff} />
            <div class="row">
              <button type="button" class="button solid-danger" aria-disabled={applying.busy} onClick={() => apply()}>
                {applying.busy ? "Restoring…" : "Restore it"}
              </button>
              <button type="button" class="button" onClick={() => setDiff(null)}>
                Cancel
              </button>
            </div>
            {applying.error !== null && (
              <Note tone="bad" live>
                {told(applying.error)}
              </Note>
            )}
          </div>
        )}
      </form>
    </section>
  );
}

function base64(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^data:[^,]*,/, ""));
    reader.onerror = () => reject(new Error("The browser could not read the file."));
    reader.readAsDataURL(file);
  });
}
