// Who is signed in, and what they may do.

import { get, Problem, send, session, sessionEnded } from "../api/client";
import { startStream, stopStream } from "../api/live";
import type { Scope, Session } from "../api/types";

/** Asks the server whether a session still holds. */
export async function recall(): Promise<void> {
  try {
    enter(await get<Session>("/session"));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
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
  session.value = null;
}

function enter(next: Session): void {
  session.value = next;
  sessionEnded.value = false;
  if (!next.must_change_password) startStream();
}

/** Whether whoever is signed in may do this. The server decides; this only hides what it would refuse. */
export const may = (scope: Scope): boolean => session.value?.scopes.includes(scope) ?? false;
