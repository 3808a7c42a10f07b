// One's own password: changed by choice, or at the first sign-in because it must be.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { send, session } from "../api/client";
import { go } from "../router";
import { recall, signIn, signOut } from "../state/session";
import { Refusal, Text, useSending } from "../ui/form";
import { Mark } from "../ui/icons";
import { PageHead } from "../ui/parts";
import { say } from "../ui/toasts";

/** Characters of a password at least. */
export const PASSWORD_LEAST = 10;

/** Changes one's own password. */
export function ChangePassword({ forced = false }: { forced?: boolean }): JSX.Element {
  useEffect(() => {
    document.title = "Change your password · Weir";
  }, []);
  if (!forced) {
    return (
      <>
        <PageHead title="Change your password" lead="Your other sessions end; this one goes on." />
        <div class="card narrow">
          <PasswordForm onDone={() => go("#/")} />
        </div>
      </>
    );
  }
  return (
    <main class="gate">
      <div class="gate-card card">
        <div class="brand">
          <Mark /> Weir
        </div>
        <h1>Choose a password</h1>
        <p>The password that you signed in with was for the first time only.</p>
        <PasswordForm onDone={() => undefined} />
        <button type="button" class="button ghost" onClick={() => void signOut()}>
          Sign out
        </button>
      </div>
    </main>
  );
}

function PasswordForm({ onDone }: { onDone: () => void }): JSX.Element {
  const name = session.value?.name ?? "";
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [again, setAgain] = useState("");
  const [own, setOwn] = useState<Record<string, string>>({});
  const [sending, submit] = useSending(["current", "new"], async () => {
    const faults: Record<string, string> = {};
    if ([...next].length < PASSWORD_LEAST) faults.new = `Expected at least ${PASSWORD_LEAST} characters.`;
    if (again !== next) faults.again = "Expected the same password as above.";
    setOwn(faults);
    if (Object.keys(faults).length > 0) return;
    await send("PUT", `/users/${encodeURIComponent(name)}/password`, { body: { current, new: next } });
    // The server may end every session of the user with the old password; the new one opens the next.
    await recall();
    if (session.value === null) await signIn(name, next);
    say("Your password is changed.");
    onDone();
  });
  const faults = { ...sending.faults, ...own };
  return (
    <form class="form" onSubmit={submit} noValidate>
      <Refusal sending={sending} />
      <input type="hidden" name="username" autocomplete="username" value={name} />
      <Text label="Password until now" name="current" value={current} onChange={setCurrent} faults={faults} input={{ type: "password", autocomplete: "current-password", autofocus: true }} />
      <Text label="New password" name="new" value={next} onChange={setNext} faults={faults} help={`At least ${PASSWORD_LEAST} characters. Length counts for more than odd signs.`} input={{ type: "password", autocomplete: "new-password" }} />
      <Text label="New password again" name="again" value={again} onChange={setAgain} faults={faults} input={{ type: "password", autocomplete: "new-password" }} />
      <div class="form-foot">
        <button type="submit" class="button primary" aria-disabled={sending.busy}>
          {sending.busy ? "Changing…" : "Change password"}
        </button>
      </div>
    </form>
  );
}
