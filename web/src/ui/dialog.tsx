// Dialogs: the browser's own <dialog>, which keeps the focus inside and gives it back.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { told } from "../api/client";
import { Note } from "./parts";

/** A modal dialog that is open while it is rendered. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren; foot?: ComponentChildren; wide?: boolean; locked?: boolean }): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = box.current;
    const before = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={props.wide ? "wide" : ""}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (!props.locked) props.onClose();
      }}
    >
      <div class="dialog-body">
        <h2 id={id} tabIndex={-1}>
          {props.title}
        </h2>
        {props.children}
      </div>
      {props.foot && <div class="dialog-foot">{props.foot}</div>}
    </dialog>
  );
}

/** Asks before something is done that cannot be undone, does it, and shows what went wrong in place. */
export function Confirm(props: { title: string; action: string; danger?: boolean; onClose: () => void; run: () => Promise<void>; children?: ComponentChildren }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await props.run();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={props.title}
      onClose={props.onClose}
      foot={
        <>
          <button type="button" class="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="button" class={`button ${props.danger ? "solid-danger" : "primary"}`} aria-disabled={busy} onClick={run}>
            {busy ? "Working…" : props.action}
          </button>
        </>
      }
    >
      {props.children}
      {error !== null && (
        <Note tone="bad" live>
          {told(error)}
        </Note>
      )}
    </Dialog>
  );
}
