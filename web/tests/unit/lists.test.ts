// Lists behind cursors, series of the charts, and the map: what is decided without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { dropMatrix } from "../../src/lib/drops";
import { faultsOf } from "../../src/lib/faults";
import { grouped, layout } from "../../src/lib/layout";
import { EMPTY, extended, known, pagesIn, refreshed, windowed, type Paged } from "../../src/lib/pages";
import { moved, namedPeers, traffic } from "../../src/lib/rules";
import { appended, historyRates, rate } from "../../src/lib/series";

const list = (): Paged<number> => extended(extended(EMPTY as Paged<number>, [1, 2], "a", 5), [3, 4], "b", 5);

// Catches a page that is fetched by the wrong cursor, and rows that stay from an order that no longer holds.
test("pages follow their cursors", () => {
  const paged = list();
  assert.deepEqual(known(paged), [1, 2, 3, 4]);
  assert.deepEqual(paged.cursors, [null, "a", "b"]);
  assert.equal(paged.complete, false);
  assert.equal(extended(paged, [5], null, 5).complete, true);
  assert.deepEqual(pagesIn(paged, 1, 3), [0, 1]);
  assert.deepEqual(pagesIn(paged, 2, 3), [1]);
  assert.deepEqual(pagesIn(paged, 4, 9), []);
});

test("a page that is read again replaces itself, and what follows if it ends elsewhere", () => {
  assert.deepEqual(known(refreshed(list(), 0, [1, 9], "a", 6)), [1, 9, 3, 4]);
  const elsewhere = refreshed(list(), 0, [0, 1], "z", 6);
  assert.deepEqual(known(elsewhere), [0, 1]);
  assert.deepEqual(elsewhere.cursors, [null, "z"]);
  assert.equal(elsewhere.complete, false);
  assert.equal(refreshed(list(), 1, [3], null, 3).complete, true);
  assert.deepEqual(refreshed(list(), 7, [], null, 0), list());
});

test("rows in view, some around them, none beyond the list", () => {
  assert.deepEqual(windowed(0, 400, 40, 10_000, 8), { first: 0, end: 18 });
  assert.deepEqual(windowed(40_000, 400, 40, 10_000, 8), { first: 992, end: 1018 });
  assert.deepEqual(windowed(1e9, 400, 40, 50, 8), { first: 50, end: 50 });
});

// Catches a live chart that grows without end, draws a second twice, or shows a restart as a spike.
test("series keep their span and their order", () => {
  let series = appended([[], []], [100, 1], 3);
  for (const at of [101, 102, 103]) series = appended(series, [at, at], 3);
  assert.deepEqual(series, [
    [101, 102, 103],
    [101, 102, 103],
  ]);
  assert.deepEqual(appended(series, [103, 7], 3)[1], [101, 102, 7]);
  assert.equal(rate(10, 30, 2), 10);
  assert.equal(rate(30, 10, 2), null, "a counter that fell began anew");
  assert.equal(rate(undefined, 10, 2), null);
});

test("a history has gaps where it knows nothing", () => {
  const [at, rx] = historyRates(
    [
      [0, 100, 0, 0],
      [10, 100, 0, 0],
      [50, 100, 0, 0],
    ],
    10,
  );
  assert.deepEqual(at, [0, 10, 20, 50]);
  assert.deepEqual(rx, [80, 80, null, 80]);
});

// Catches a problem that is shown at no field or at a wrong one.
test("problems find their fields", () => {
  const { faults, rest } = faultsOf(
    [
      { field: "allowed_ips[1]", value: "x", expected: "a network" },
      { field: "/peer/name", expected: "a name" },
      { field: "confirm_within_s", value: 3, expected: "10 to 3600" },
    ],
    ["name", "allowed_ips"],
  );
  assert.deepEqual(faults, { allowed_ips: "Expected a network. “x” is not.", name: "Expected a name." });
  assert.deepEqual(rest.map((fault) => fault.field), ["confirm_within_s"]);
});

test("rules move, and are told in words", () => {
  assert.deepEqual(moved(["a", "b", "c"], 0, 1), ["b", "a", "c"]);
  assert.deepEqual(moved(["a", "b", "c"], 0, -1), ["a", "b", "c"]);
  assert.equal(traffic({ protocol: "tcp", ports: ["80", "443"] }), "TCP 80, 443");
  assert.equal(traffic({ protocol: "47", ports: [] }), "protocol 47");
  assert.equal(traffic({ protocol: null, ports: [] }), "anything");
  assert.deepEqual(namedPeers([{ from: ["peer:K", "group:g"], to: ["peer:K", "10.0.0.0/8"] }]), ["K"]);
});

test("drops: the most frequent first, nought left out", () => {
  assert.deepEqual(dropMatrix([{ drops: { a: 1, b: 0 } }, { drops: { c: 5 } }]), [
    { reason: "c", counts: [0, 5], total: 5 },
    { reason: "a", counts: [1, 0], total: 1 },
  ]);
});

// Catches two peers on one spot, and anything outside of the drawing.
test("the map keeps peers apart and inside", () => {
  for (const count of [1, 5, 24, 25, 500, 2000]) {
    for (const width of [300, 720, 1100]) {
      const items = Array.from({ length: count }, (_, i) => ({ groups: i % 7 === 0 ? [] : [`g${i % 6}`] }));
      const drawn = layout(items, width);
      const places = drawn.bubbles.flatMap((bubble) => bubble.items);
      assert.equal(places.length, count);
      for (const { x, y } of places) assert.ok(x > 0 && x < drawn.width && y > 0 && y < drawn.height, `${count} peers at ${width}: ${x} ${y}`);
      for (const bubble of drawn.bubbles) {
        for (const other of drawn.bubbles) {
          if (bubble === other || drawn.named) continue;
          assert.ok(Math.hypot(bubble.x - other.x, bubble.y - other.y) > bubble.r + other.r, `${count} peers at ${width}: two bubbles overlap`);
        }
      }
    }
  }
  assert.deepEqual(grouped([{ groups: [] }, { groups: ["a"] }, { groups: ["b"] }, { groups: ["b", "a"] }]).map((group) => group.name), ["b", "a", ""]);
});
