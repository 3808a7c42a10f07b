// Short messages that a screen reader says politely and that leave by themselves.

import { signal } from "@preact/signals";
import type { JSX } from "preact";

interface Toast {
  id: number;
  text: string;
}

const toasts = signal<Toast[]>([]);
let next = 1;
const SHOWN_MS = 6000;

/** Says something in passing. */
export function say(text: string): void {
  const id = next++;
  toasts.value = [...toasts.value.slice(-3), { id, text }];
  setTimeout(() => {
    toasts.value = toasts.value.filter((toast) => toast.id !== id);
  }, SHOWN_MS);
}

/** Where they appear: present from the start, since a live region must be there before its text. */
export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div class="toast" key={toast.id}>
          {toast.text}
        </div>
      ))}
    </div>
  );
}
