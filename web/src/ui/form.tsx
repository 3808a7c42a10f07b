// Forms: fields with their labels, help and problems, and the sending of them.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Problem, told } from "../api/client";
import type { FieldProblem } from "../api/types";
import { faultsOf } from "../lib/faults";
import { Icon } from "./icons";
import { Note } from "./parts";

/** What a field needs to show itself. */
export interface FieldProps {
  label: string;
  name: string;
  help?: ComponentChildren;
  optional?: boolean;
  faults?: Record<string, string>;
}

/** The attributes that join a control with its label, help and problem. */
export interface Wiring {
  id: string;
  name: string;
  "aria-describedby"?: string;
  "aria-invalid"?: "true";
}

/** A label, a control, its help and its problem. */
export function Field(props: FieldProps & { control: (wiring: Wiring) => JSX.Element }): JSX.Element {
  const id = useId();
  const fault = props.faults?.[props.name];
  const describedBy = [props.help ? `${id}-help` : "", fault ? `${id}-fault` : ""].filter(Boolean).join(" ");
  const wiring: Wiring = { id, name: props.name };
  if (describedBy) wiring["aria-describedby"] = describedBy;
  if (fault) wiring["aria-invalid"] = "true";
  return (
    <div class="field">
      <label for={id}>
        {props.label}
        {props.optional && <span class="optional"> (optional)</span>}
      </label>
      {props.control(wiring)}
      {fault && (
        <p class="fault" id={`${id}-fault`}>
          <Icon name="warning" />
          <span>{fault}</span>
        </p>
      )}
      {props.help && (
        <p class="help" id={`${id}-help`}>
          {props.help}
        </p>
      )}
    </div>
  );
}

/** What a line of text may be besides its label and value. */
export interface InputAttributes {
  type?: "text" | "password" | "number" | "datetime-local" | "date";
  autocomplete?: string;
  autocapitalize?: string;
  spellcheck?: boolean;
  required?: boolean;
  autofocus?: boolean;
  list?: string;
  min?: number | string;
  max?: number | string;
  placeholder?: string;
  class?: string;
}

/** A line of text. */
export function Text(props: FieldProps & { value: string; onChange: (value: string) => void; input?: InputAttributes }): JSX.Element {
  return <Field {...props} control={(wiring) => <input autocomplete="off" {...(props.input as object)} {...wiring} value={props.value} onInput={(event) => props.onChange(event.currentTarget.value)} />} />;
}

/** Several lines of text. */
export function Area(props: FieldProps & { value: string; onChange: (value: string) => void; rows?: number; code?: boolean }): JSX.Element {
  return (
    <Field
      {...props}
      control={(wiring) => <textarea {...wiring} class={props.code ? "code" : ""} rows={props.rows ?? 3} spellcheck={!props.code} value={props.value} onInput={(event) => props.onChange(event.currentTarget.value)} />}
    />
  );
}

/** One of a few. */
export function Select<T extends string>(props: FieldProps & { value: T; options: readonly (readonly [T, string])[]; onChange: (value: T) => void }): JSX.Element {
  return (
    <Field
      {...props}
      control={(wiring) => (
        <select {...wiring} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value as T)}>
          {props.options.map(([value, word]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
      )}
    />
  );
}

/** A box to tick. */
export function Check(props: { label: string; help?: ComponentChildren; checked: boolean; onChange: (checked: boolean) => void; name?: string }): JSX.Element {
  return (
    <label class="choice">
      <input type="checkbox" name={props.name} checked={props.checked} onChange={(event) => props.onChange(event.currentTarget.checked)} />
      <span>
        {props.label}
        {props.help && <small>{props.help}</small>}
      </span>
    </label>
  );
}

/** Several exclusive choices with a sentence each. */
export function Radios<T extends string>(props: { label: string; name: string; value: T; options: readonly { value: T; label: string; help?: string }[]; onChange: (value: T) => void }): JSX.Element {
  return (
    <fieldset class="field">
      <legend class="label">{props.label}</legend>
      {props.options.map((option) => (
        <label class="choice" key={option.value}>
          <input type="radio" name={props.name} value={option.value} checked={option.value === props.value} onChange={() => props.onChange(option.value)} />
          <span>
            {option.label}
            {option.help && <small>{option.help}</small>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

/** How the sending of a form stands. */
export interface Sending {
  busy: boolean;
  error: unknown;
  /** Problems by the name of their field. */
  faults: Record<string, string>;
  /** Problems that belong to none of the form's fields. */
  rest: FieldProblem[];
  clear: () => void;
  fail: (error: unknown) => void;
}

/** Sends once at a time, and sorts what the server refuses to the fields that it names. */
export function useSending(fields: readonly string[], send: () => Promise<void>): [Sending, (event?: Event) => void] {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  const sorted = faultsOf(error instanceof Problem ? error.errors : [], fields);
  const submit = async (event?: Event) => {
    event?.preventDefault();
    if (busy) return;
    const form = event?.currentTarget instanceof HTMLFormElement ? event.currentTarget : null;
    setBusy(true);
    setError(null);
    try {
      await send();
    } catch (failure) {
      if (!alive.current) return;
      setError(failure);
      requestAnimationFrame(() => form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
    }
    if (alive.current) setBusy(false);
  };
  return [{ busy, error, faults: sorted.faults, rest: sorted.rest, clear: () => setError(null), fail: setError }, (event) => void submit(event)];
}

/** What the server refused as a whole. Problems that stand at their fields are not said twice. */
export function Refusal({ sending }: { sending: Sending }): JSX.Element | null {
  if (sending.error === null) return null;
  const named = Object.keys(sending.faults).length;
  return (
    <Note tone="bad" live>
      {named > 0 && sending.rest.length === 0 ? (
        <p>{named === 1 ? "One field needs another look." : `${named} fields need another look.`}</p>
      ) : (
        <p>{told(sending.error)}</p>
      )}
      {sending.rest.map((fault) => (
        <p key={fault.field}>
          <code>{fault.field}</code>: expected {fault.expected}
        </p>
      ))}
    </Note>
  );
}
