// Signing in: as the whole page at first, over the page when a session ended while somebody was at work.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { session, sessionEnded } from "../api/client";
import { signIn } from "../state/session";
import { Dialog } from "../ui/dialog";
import { Refusal, Text, useSending } from "../ui/form";
import { Mark } from "../ui/icons";

/** The gate. */
export function SignIn(): JSX.Element {
  useEffect(() => {
    document.title = "Sign in · Weir";
  }, []);
  return (
    <main class="gate">
      <div class="gate-card card">
        <div class="brand">
          <Mark /> Weir
        </div>
        <h1>Sign in</h1>
        <SignInForm />
        <p class="small muted">
          Forgotten? <code>weir admin reset</code> on the gateway restores access.
        </p>
      </div>
    </main>
  );
}

/** Signing in again without losing the page beneath and what was typed into it. */
export function SignInAgain(): JSX.Element {
  const leave = () => {
    sessionEnded.value = false;
    session.value = null;
  };
  return (
    <Dialog title="Your session ended" onClose={leave}>
      <p>Sign in again; the page stays as you left it.</p>
      <SignInForm name={session.value?.name ?? ""} />
    </Dialog>
  );
}

function SignInForm({ name: known = "" }: { name?: string }): JSX.Element {
  const [name, setName] = useState(known);
  const [password, setPassword] = useState("");
  const [sending, submit] = useSending(["name", "password"], () => signIn(name, password));
  return (
    <form class="form" onSubmit={submit} noValidate>
      <Refusal sending={sending} />
      <Text label="Name" name="name" value={name} onChange={setName} faults={sending.faults} input={{ autocomplete: "username", autocapitalize: "none", spellcheck: false, required: true, autofocus: !known }} />
      <Text label="Password" name="password" value={password} onChange={setPassword} faults={sending.faults} input={{ type: "password", autocomplete: "current-password", required: true }} />
      <button type="submit" class="button primary" aria-disabled={sending.busy}>
        {sending.busy ? "Signing in…" : "Sign in"}
      </button>
    </form>
  );
}
