// Who is signed in, and what they may do.

import { get, Problem, send, session, sessionEnded } from "../api/client";
import { startStream, stopStream } from "../api/live";
import type { Scope, Session } from "../api/types";

/** Remembers that somebody signed in here: without it the server is not asked, since its refusal of a first visit would
 * stand in the browser's console as an error. */
const MARK = "weir.signed-in";

function mark(on: boolean): void {
  try {
    if (on) localStorage.setItem(MARK, "yes");
    else localStorage.removeItem(MARK);
  } catch {
    // Without storage the server is asked every time.
  }
}

function marked(): boolean {
  try {
    return localStorage.getItem(MARK) !== null;
  } catch {
    return true;
  }
}

/** Asks the server whether a session still holds. */
export async function recall(): Promise<void> {
  if (!marked()) {
    session.value = null;
    return;
  }
  try {
    enter(await get<Session>("/session"));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    mark(false);
    session.value = null;
  }
}

/** Signs in. Refused, it throws the problem. */
export async function signIn(name: string, password: string): Promise<void> {
  enter((await send<Session>("POST", "/session", { body: { name, password } })).data);
}

/** Signs out, here and at the server. */
export async function signOut(): Promise<void> {
  await send("DELETE", "/session");
  stopStream();
  mark(false);
  session.value = null;
}

function enter(next: Session): void {
  mark(true);
  session.value = next;
  sessionEnded.value = false;
  if (!next.must_change_password) startStream();
}

/** Whether whoever is signed in may do this. The server decides; this only hides what it would refuse. */
export const may = (scope: Scope): boolean => session.value?.scopes.includes(scope) ?? false;
