// A list of short texts that are entered one by one: each is checked when it is entered and can be taken out again.

import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Field, type FieldProps } from "./form";
import { Icon } from "./icons";

interface ChipsProps extends FieldProps {
  values: string[];
  onChange: (values: string[]) => void;
  /** How a value is shown. */
  show?: (value: string) => string;
  /** What a typed text stands for. */
  resolve?: (text: string) => Promise<string> | string;
  /** What may be meant by a text under way. */
  suggest?: (text: string) => Promise<string[]>;
  placeholder?: string;
}

const TYPING_MS = 150;

/** The list with a line to enter more. */
export function Chips(props: ChipsProps): JSX.Element {
  const [text, setText] = useState("");
  const [found, setFound] = useState<string[]>([]);
  const list = useId();
  const line = useRef<HTMLInputElement>(null);
  const { suggest } = props;
  useEffect(() => {
    if (!suggest) return;
    let over = false;
    const timer = setTimeout(() => void suggest(text).then((next) => !over && setFound(next), () => undefined), TYPING_MS);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [text]);
  const take = async () => {
    const typed = text.split(",").map((part) => part.trim()).filter(Boolean);
    if (typed.length === 0) return;
    setText("");
    const values = await Promise.all(typed.map(async (part) => (props.resolve ? props.resolve(part) : part)));
    props.onChange([...new Set([...props.values, ...values])]);
  };
  const show = props.show ?? ((value: string) => value);
  return (
    <Field
      {...props}
      control={(wiring) => (
        <div class="chips">
          {props.values.length > 0 && (
            <ul class="row" aria-label={props.label}>
              {props.values.map((value) => (
                <li key={value} class="chip" title={value}>
                  {show(value)}
                  <button
                    type="button"
                    aria-label={`Remove ${show(value)}`}
                    onClick={() => {
                      props.onChange(props.values.filter((other) => other !== value));
                      line.current?.focus();
                    }}
                  >
                    <Icon name="cross" />
                  </button>
                </li>
              ))}
            </ul>
          )}
          <input
            {...wiring}
            ref={line}
            value={text}
            list={suggest ? list : undefined}
            placeholder={props.placeholder}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setText(event.currentTarget.value)}
            onBlur={() => void take()}
            onKeyDown={(event) => {
              if ((event.key === "Enter" || event.key === ",") && text.trim()) {
                event.preventDefault();
                void take();
              } else if (event.key === "Backspace" && text === "" && props.values.length > 0) {
                props.onChange(props.values.slice(0, -1));
              }
            }}
          />
          {suggest && (
            <datalist id={list}>
              {found.map((value) => (
                <option key={value} value={value} />
              ))}
            </datalist>
          )}
        </div>
      )}
    />
  );
}
