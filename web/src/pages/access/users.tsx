// Users: people who sign in with a password.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, send, session, told } from "../../api/client";
import type { Role, User } from "../../api/types";
import { may } from "../../state/session";
import { Confirm, Dialog } from "../../ui/dialog";
import { Check, Refusal, Select, Text, useSending } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { useLoad } from "../../ui/load";
import { Ago, Failure, Loading, Scroller } from "../../ui/parts";
import { say } from "../../ui/toasts";
import { PASSWORD_LEAST } from "../password";

export const ROLES = [
  ["viewer", "Viewer"],
  ["operator", "Operator"],
  ["administrator", "Administrator"],
] as const satisfies readonly (readonly [Role, string])[];

type Asking = { what: "add" } | { what: "password" | "delete"; user: User };

/** The table of users with what can be done to them. */
export function Users(): JSX.Element {
  const loaded = useLoad("users", (signal) => get<{ items: User[] }>("/users", { signal }));
  const [asking, setAsking] = useState<Asking | null>(null);
  const close = () => setAsking(null);
  const done = (words: string) => {
    say(words);
    close();
    loaded.reload();
  };
  const patch = async (user: User, body: { role?: Role; disabled?: boolean }) => {
    try {
      await send("PATCH", `/users/${encodeURIComponent(user.name)}`, { body });
      say(`${user.name} is changed.`);
    } catch (error) {
      say(told(error));
    }
    loaded.reload();
  };
  const writable = may("users:write");
  return (
    <section class="card flush" aria-labelledby="users-h">
      <div class="head">
        <h2 id="users-h">Users</h2>
        {writable && (
          <button type="button" class="button small aside" onClick={() => setAsking({ what: "add" })}>
            <Icon name="plus" /> Add a user
          </button>
        )}
      </div>
      {loaded.error !== null && <Failure error={loaded.error} again={loaded.reload} />}
      {!loaded.data && loaded.error === null && <Loading />}
      {loaded.data && (
        <Scroller label="Users">
          <table class="stack-rows">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Role</th>
                <th scope="col">Signed in last</th>
                <th scope="col">Added</th>
                <th scope="col">
                  <span class="hidden-label">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {loaded.data.items.map((user) => (
                <tr key={user.name}>
                  <th scope="row">
                    {user.name} {user.name === session.value?.name && <span class="tag accent">you</span>} {user.disabled && <span class="tag bad">locked out</span>}{" "}
                    {user.must_change_password && <span class="tag warn">must change password</span>}
                  </th>
                  <td>
                    {writable && user.name !== session.value?.name ? (
                      <select class="inline-select" aria-label={`Role of ${user.name}`} value={user.role} onChange={(event) => void patch(user, { role: event.currentTarget.value as Role })}>
                        {ROLES.map(([role, word]) => (
                          <option key={role} value={role}>
                            {word}
                          </option>
                        ))}
                      </select>
                    ) : (
                      user.role
                    )}
                  </td>
                  <td data-word="signed in">
                    <Ago at={user.last_login_at} />
                  </td>
                  <td data-word="added">
                    <Ago at={user.created_at} />
                  </td>
                  <td class="num">
                    {writable && user.name !== session.value?.name && (
                      <span class="row cell-actions">
                        <button type="button" class="button small" onClick={() => setAsking({ what: "password", user })}>
                          Set password
                        </button>
                        <button type="button" class="button small" onClick={() => void patch(user, { disabled: !user.disabled })}>
                          {user.disabled ? "Let in" : "Lock out"}
                        </button>
                        <button type="button" class="button small danger" aria-label={`Delete ${user.name}`} onClick={() => setAsking({ what: "delete", user })}>
                          Delete
                        </button>
                      </span>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
      {asking?.what === "add" && <AddUser onClose={close} onDone={done} />}
      {asking?.what === "password" && <SetPassword user={asking.user} onClose={close} onDone={done} />}
      {asking?.what === "delete" && (
        <Confirm
          title={`Delete ${asking.user.name}?`}
          action="Delete"
          danger
          onClose={close}
          run={async () => {
            await send("DELETE", `/users/${encodeURIComponent(asking.user.name)}`);
            done(`${asking.user.name} is deleted.`);
          }}
        >
          <p>The user's sessions end at once. What the user did stays in the audit log.</p>
        </Confirm>
      )}
    </section>
  );
}

function AddUser({ onClose, onDone }: { onClose: () => void; onDone: (words: string) => void }): JSX.Element {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("operator");
  const [password, setPassword] = useState("");
  const [change, setChange] = useState(true);
  const [sending, submit] = useSending(["name", "role", "password"], async () => {
    await send("POST", "/users", { body: { name: name.trim(), role, password, must_change_password: change } });
    onDone(`${name.trim()} can sign in now.`);
  });
  return (
    <FormDialog title="Add a user" action="Add the user" busy={sending.busy} onClose={onClose} onSubmit={submit}>
      <Refusal sending={sending} />
      <Text label="Name" name="name" value={name} onChange={setName} faults={sending.faults} help="Small letters, digits, dots, dashes." input={{ autofocus: true, autocapitalize: "none", spellcheck: false }} />
      <Select label="Role" name="role" value={role} options={ROLES} onChange={setRole} />
      <Text label="First password" name="password" value={password} onChange={setPassword} faults={sending.faults} help={`At least ${PASSWORD_LEAST} characters.`} input={{ type: "password", autocomplete: "new-password" }} />
      <Check label="To be changed at the first sign-in" checked={change} onChange={setChange} />
    </FormDialog>
  );
}

function SetPassword({ user, onClose, onDone }: { user: User; onClose: () => void; onDone: (words: string) => void }): JSX.Element {
  const [password, setPassword] = useState("");
  const [sending, submit] = useSending(["new"], async () => {
    await send("PUT", `/users/${encodeURIComponent(user.name)}/password`, { body: { new: password } });
    await send("PATCH", `/users/${encodeURIComponent(user.name)}`, { body: { must_change_password: true } });
    onDone(`${user.name} signs in with the new password, and then changes it.`);
  });
  return (
    <FormDialog title={`New password for ${user.name}`} action="Set the password" busy={sending.busy} onClose={onClose} onSubmit={submit}>
      <Refusal sending={sending} />
      <Text label="New password" name="new" value={password} onChange={setPassword} faults={sending.faults} help="Its sessions end; at the next sign-in it must be changed." input={{ type: "password", autocomplete: "new-password", autofocus: true }} />
    </FormDialog>
  );
}

/** A dialog that is a form. */
export function FormDialog(props: { title: string; action: string; busy: boolean; onClose: () => void; onSubmit: (event?: Event) => void; children: JSX.Element | (JSX.Element | null | false)[] }): JSX.Element {
  return (
    <Dialog
      title={props.title}
      onClose={props.onClose}
      foot={
        <>
          <button type="button" class="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="submit" form="dialog-form" class="button primary" aria-disabled={props.busy}>
            {props.busy ? "Working…" : props.action}
          </button>
        </>
      }
    >
      <form id="dialog-form" class="form" onSubmit={props.onSubmit} noValidate>
        {props.children}
      </form>
    </Dialog>
  );
}
