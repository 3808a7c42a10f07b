// Tokens: programs that call the API. A token is shown once, when it is made.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, send, serverNow } from "../../api/client";
import type { Role, Scope, Token, TokenCreated } from "../../api/types";
import { instant } from "../../lib/format";
import { SCOPES, scopesOf } from "../../lib/scopes";
import { daysFrom } from "../../lib/times";
import { may } from "../../state/session";
import { Confirm, Dialog } from "../../ui/dialog";
import { Check, Refusal, Select, Text, useSending } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { useLoad } from "../../ui/load";
import { Ago, Copy, Failure, Loading, Note, present, Scroller } from "../../ui/parts";
import { say } from "../../ui/toasts";
import { FormDialog, ROLES } from "./users";

/** Days before its end from which on a token is warned of. */
const WARN_DAYS = 14;

/** The table of tokens. */
export function Tokens(): JSX.Element {
  const loaded = useLoad("tokens", (signal) => get<{ items: Token[] }>("/tokens", { signal }));
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<TokenCreated | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const writable = may("tokens:write");
  return (
    <section class="card flush" aria-labelledby="tokens-h">
      <div class="head">
        <h2 id="tokens-h">Tokens</h2>
        {writable && (
          <button type="button" class="button small aside" onClick={() => setAdding(true)}>
            <Icon name="plus" /> Make a token
          </button>
        )}
      </div>
      {loaded.error !== null && <Failure error={loaded.error} again={loaded.reload} />}
      {!loaded.data && loaded.error === null && <Loading />}
      {loaded.data?.items.length === 0 && <p class="empty">No tokens. Scripts and Prometheus need one.</p>}
      {loaded.data && loaded.data.items.length > 0 && (
        <Scroller label="Tokens">
          <table class="stack-rows">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">May</th>
                <th scope="col">Ends</th>
                <th scope="col">Used last</th>
                <th scope="col">Made</th>
                <th scope="col">
                  <span class="hidden-label">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {loaded.data.items.map((token) => (
                <tr key={token.id}>
                  <th scope="row">
                    {token.name} <span class="small muted block">{token.role}</span>
                  </th>
                  <td class="scopes">
                    {token.scopes.length === scopesOf(token.role).length ? (
                      <span>all that the role may</span>
                    ) : (
                      token.scopes.map((scope) => (
                        <span class="tag" key={scope}>
                          {scope}
                        </span>
                      ))
                    )}
                  </td>
                  <td data-word="ends">
                    <Ends at={token.expires_at} />
                  </td>
                  <td data-word="used">
                    <Ago at={token.last_used_at} />
                  </td>
                  <td data-word="made">
                    <Ago at={token.created_at} /> <span class="small muted">by {token.created_by}</span>
                  </td>
                  <td class="num">
                    {writable && (
                      <button type="button" class="button small danger" aria-label={`Revoke ${token.name}`} onClick={() => setRevoking(token)}>
                        Revoke
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
      {adding && (
        <MakeToken
          onClose={() => setAdding(false)}
          onMade={(token) => {
            setAdding(false);
            setMade(token);
            loaded.reload();
          }}
        />
      )}
      {made && <Shown token={made} onClose={() => setMade(null)} />}
      {revoking && (
        <Confirm
          title={`Revoke ${revoking.name}?`}
          action="Revoke"
          danger
          onClose={() => setRevoking(null)}
          run={async () => {
            await send("DELETE", `/tokens/${encodeURIComponent(revoking.id)}`);
            say(`${revoking.name} is revoked.`);
            setRevoking(null);
            loaded.reload();
          }}
        >
          <p>Programs that use it are refused at once.</p>
        </Confirm>
      )}
    </section>
  );
}

function Ends({ at }: { at: string | null }): JSX.Element {
  const when = instant(at);
  if (when === null) return <span class="muted">never</span>;
  const left = (when - present.value) / 86_400_000;
  return (
    <>
      <Ago at={at} /> {left <= 0 ? <span class="tag bad">ended</span> : left < WARN_DAYS && <span class="tag warn">soon</span>}
    </>
  );
}

type Life = "7" | "30" | "90" | "365" | "0";
const LIVES = [
  ["7", "In 7 days"],
  ["30", "In 30 days"],
  ["90", "In 90 days"],
  ["365", "In a year"],
  ["0", "Never"],
] as const satisfies readonly (readonly [Life, string])[];

function MakeToken({ onClose, onMade }: { onClose: () => void; onMade: (token: TokenCreated) => void }): JSX.Element {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [scopes, setScopes] = useState<Scope[]>(["metrics:read"]);
  const [life, setLife] = useState<Life>("90");
  const possible = scopesOf(role);
  const [sending, submit] = useSending(["name", "scopes", "expires_at"], async () => {
    const body = { name: name.trim(), role, scopes: scopes.filter((scope) => possible.includes(scope)), expires_at: life === "0" ? null : daysFrom(serverNow(), Number(life)) };
    onMade((await send<TokenCreated>("POST", "/tokens", { body })).data);
  });
  const toggle = (scope: Scope, on: boolean) => setScopes((now) => (on ? [...now, scope] : now.filter((other) => other !== scope)));
  return (
    <FormDialog title="Make a token" action="Make the token" busy={sending.busy} onClose={onClose} onSubmit={submit}>
      <Refusal sending={sending} />
      <Text label="Name" name="name" value={name} onChange={setName} faults={sending.faults} help="What it is for, such as prometheus." input={{ autofocus: true }} />
      <div class="fields">
        <Select label="Role" name="role" value={role} options={ROLES} onChange={setRole} />
        <Select label="Ends" name="expires_at" value={life} options={LIVES} onChange={setLife} faults={sending.faults} />
      </div>
      <fieldset class="field">
        <legend class="label">What it may do</legend>
        <div class="choices">
          {SCOPES.filter((entry) => possible.includes(entry.scope)).map((entry) => (
            <Check key={entry.scope} label={entry.words} checked={scopes.includes(entry.scope)} onChange={(on) => toggle(entry.scope, on)} />
          ))}
        </div>
        {sending.faults.scopes && <p class="fault">{sending.faults.scopes}</p>}
      </fieldset>
    </FormDialog>
  );
}

function Shown({ token, onClose }: { token: TokenCreated; onClose: () => void }): JSX.Element {
  return (
    <Dialog
      title={`Token ${token.name}`}
      locked
      onClose={onClose}
      foot={
        <button type="button" class="button primary" onClick={onClose}>
          I have it
        </button>
      }
    >
      <Note tone="warn">
        <span class="strong">Shown this once.</span> The gateway keeps only its hash.
      </Note>
      <div class="secret">
        <code data-secret="token">{token.token}</code>
        <Copy text={token.token} label="Token" word="Copy" small={false} />
      </div>
      <p class="small muted">
        Programs send it as <code>Authorization: Bearer …</code>
      </p>
    </Dialog>
  );
}
