// Where the map of peers draws what. Pure: nodes and a width in, places out. Few peers stand around the gateway with
// their names; many are dots, packed into one bubble for each group, so that five hundred can still be told apart.

/** A peer to place. */
export interface Placed<T> {
  item: T;
  x: number;
  y: number;
}

/** Peers of one group. */
export interface Bubble<T> {
  name: string;
  x: number;
  y: number;
  r: number;
  items: Placed<T>[];
}

export interface Layout<T> {
  width: number;
  height: number;
  center: { x: number; y: number };
  /** Whether there is room for names. */
  named: boolean;
  /** How high letters are: as the drawing shrinks to its place, they must not. */
  letters: number;
  bubbles: Bubble<T>[];
}

/** Groups and their peers, the largest group first, those of none last. A peer of several groups stands in its first. */
export function grouped<T extends { groups: string[] }>(items: readonly T[]): { name: string; items: T[] }[] {
  const found = new Map<string, T[]>();
  for (const item of items) {
    const name = item.groups[0] ?? "";
    const list = found.get(name);
    if (list) list.push(item);
    else found.set(name, [item]);
  }
  return [...found]
    .map(([name, list]) => ({ name, items: list }))
    .sort((a, b) => Number(a.name === "") - Number(b.name === "") || b.items.length - a.items.length || a.name.localeCompare(b.name));
}

const GOLDEN = Math.PI * (3 - Math.sqrt(5));
const SPACING = 7.2;
/** From the center to the nearest edge of a bubble. */
const GATEWAY = 64;
const LETTERS = 12;

/** Places the peers for a drawing this wide. */
export function layout<T extends { groups: string[] }>(items: readonly T[], width: number): Layout<T> {
  const groups = grouped(items);
  return items.length <= (width < 520 ? 8 : 24) ? ring(groups, items.length, width) : bubbles(groups, width);
}

function ring<T>(groups: { name: string; items: T[] }[], count: number, width: number): Layout<T> {
  const height = Math.min(560, Math.max(300, 240 + count * 14));
  const center = { x: width / 2, y: height / 2 };
  const rx = Math.max(70, Math.min(width / 2 - 84, 420));
  const ry = height / 2 - 52;
  let place = 0;
  return {
    width,
    height,
    center,
    named: true,
    letters: LETTERS,
    bubbles: groups.map((group) => ({
      name: group.name,
      x: center.x,
      y: center.y,
      r: 0,
      items: group.items.map((item) => {
        const angle = ((place++ + 0.5) / count) * 2 * Math.PI - Math.PI / 2;
        return { item, x: center.x + rx * Math.cos(angle), y: center.y + ry * Math.sin(angle) };
      }),
    })),
  };
}

/** Places bubbles; where they are too large for the width, once more with letters that are legible then. */
function bubbles<T>(groups: { name: string; items: T[] }[], width: number, letters = LETTERS): Layout<T> {
  const apart = Math.max(44, 3.4 * letters);
  const label = 2.5 * letters;
  const radii = groups.map((group) => Math.max(16, SPACING * Math.sqrt(group.items.length) + 8));
  const around = radii.reduce((sum, r) => sum + 2 * r + apart, 0);
  const largest = Math.max(...radii);
  const reach = Math.max(around / (2 * Math.PI), largest + GATEWAY);
  const half = reach + largest + label;
  const size = 2 * half;
  // A circle of bubbles, drawn out sideways where there is room: that only moves them apart.
  const drawn = Math.max(size + 2 * label, Math.min(width, size * 1.7));
  const wide = Math.max(reach, drawn / 2 - largest - label);
  const shrunk = width / drawn;
  if (letters === LETTERS && shrunk < 0.95) return bubbles(groups, width, Math.min(28, 11 / shrunk));
  const center = { x: drawn / 2, y: half };
  let angle = -Math.PI / 2;
  return {
    width: drawn,
    height: size,
    center,
    named: false,
    letters,
    bubbles: groups.map((group, number) => {
      const r = radii[number] ?? 16;
      const arc = ((2 * r + apart) / around) * 2 * Math.PI;
      const middle = groups.length === 1 ? 0 : angle + arc / 2;
      angle += arc;
      const x = center.x + wide * Math.cos(middle);
      const y = center.y + reach * Math.sin(middle);
      return {
        name: group.name,
        x,
        y,
        r,
        items: group.items.map((item, at) => {
          const away = SPACING * Math.sqrt(at + 0.5);
          return { item, x: x + away * Math.cos(at * GOLDEN), y: y + away * Math.sin(at * GOLDEN) };
        }),
      };
    }),
  };
}
