// The page's icons, drawn on a grid of 16. All are decoration: the word beside one says what it means.

import type { JSX } from "preact";

const PATHS = {
  overview: "M2 13.5h12M3.5 11V7.5M8 11V3M12.5 11V5.5",
  peers: "M6 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM1.5 13.5c0-2.5 2-4 4.5-4s4.5 1.5 4.5 4M11 2.800a2.3 2.3 0 0 1 0 4.400M12.2 9.800c1.4.5 2.3 1.8 2.3 3.7",
  topology: "M8 5.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM3 14.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM13 14.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM7 5.300l-3.2 5.300M9 5.300l3.2 5.300M5 12.500h6",
  rules: "M8 1.5 2.5 3.500v4c0 3.3 2.2 5.7 5.5 7 3.3-1.3 5.5-3.7 5.5-7v-4L8 1.500ZM5.5 8l1.8 1.800L10.8 6",
  audit: "M3.5 1.500h6l3 3v10h-9v-13ZM9.5 1.500v3h3M5.5 7.500h5M5.5 10h5M5.5 12.300h3",
  access: "M10.5 9a3.5 3.5 0 1 0-3.3-2.300L1.5 12.400v2.100h2.600v-1.700h1.700v-1.700h1.600l1.1-1.400c.6.2 1.3.3 2 .3ZM11.5 4.600v.1",
  settings: "M2 4.500h7M12.5 4.500H14M2 11.500h1.500M7 11.500h7M10.7 6.200a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.400ZM5.3 13.200a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.400Z",
  alerts: "M8 1.800c-2.7 0-4.3 2-4.3 4.5 0 3.5-1.5 4.7-1.5 4.700h11.600s-1.5-1.2-1.5-4.700C12.3 3.8 10.7 1.8 8 1.800ZM6.5 13.500c.3.6.8.9 1.5.9s1.2-.3 1.5-.9",
  plus: "M8 3v10M3 8h10",
  check: "m3 8.5 3.3 3.300L13 4.7",
  cross: "m4 4 8 8M12 4l-8 8",
  warning: "M8 2 1.2 14h13.600L8 2ZM8 6.500v3.500M8 12v.1",
  info: "M8 14.500a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM8 7.300v4M8 4.800v.1",
  lock: "M3.5 7h9v7h-9V7ZM5.3 7V4.700a2.7 2.7 0 0 1 5.4 0V7",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.7 10.7 14.3 14.3",
  up: "M8 13V3.500M3.8 7.5 8 3.300l4.2 4.2",
  down: "M8 3v9.500M3.8 8.5 8 12.700l4.2-4.2",
  copy: "M5.5 5.500h8v8h-8v-8ZM3 10.500h-.5v-8h8V3",
  download: "M8 2v8.500M4.3 7 8 10.7 11.7 7M2.5 13.500h11",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.300v1.500M8 13.200v1.500M1.3 8h1.500M13.2 8h1.500M3.3 3.300l1 1M11.7 11.700l1 1M12.7 3.300l-1 1M4.3 11.700l-1 1",
  moon: "M13.5 9.500A6 6 0 0 1 6.5 2.500a6 6 0 1 0 7 7Z",
  screen: "M1.5 2.500h13v8.500h-13V2.500ZM5.5 14h5M8 11v3",
  out: "M6.5 2.500h-4v11h4M10.5 5l3 3-3 3M13.3 8H6",
  menu: "M2 4h12M2 8h12M2 12h12",
  key: "M10.5 9a3.5 3.5 0 1 0-3.3-2.300L1.5 12.400v2.100h2.600v-1.700h1.700v-1.700h1.600l1.1-1.4",
  edit: "m10.5 2.5 3 3-8 8-3.5.5.5-3.5 8-8Z",
  trash: "M2.5 4h11M6 4V2.500h4V4M4 4l.7 10h6.600L12 4M6.7 6.700v4.600M9.3 6.700v4.6",
  doc: "M3.5 1.500h6l3 3v10h-9v-13ZM9.5 1.500v3h3",
} as const;

export type IconName = keyof typeof PATHS;

/** An icon, hidden from screen readers. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark of Weir: water that passes a step. */
export function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" fill="#0b5c6b" />
      <path d="M5 11h9v10" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round" />
      <path d="M18 11c5 0 2 10 9 10" fill="none" stroke="#7fdbe8" stroke-width="3" stroke-linecap="round" />
      <path d="M5 26h22" stroke="#7fdbe8" stroke-width="2.4" stroke-linecap="round" />
    </svg>
  );
}
