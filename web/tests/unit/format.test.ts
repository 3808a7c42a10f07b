// What people read.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bitRate, bytes, compact, count, countdown, exact, instant, milliseconds, plural, relative, scaled, span } from "../../src/lib/format";

// Catches a unit that is a thousand off at a border, and digits that jump in width.
test("numbers have three digits and the right prefix", () => {
  assert.equal(bitRate(0), "0 b/s");
  assert.equal(bitRate(999), "999 b/s");
  assert.equal(bitRate(999.4), "999 b/s");
  assert.equal(bitRate(999.6), "1.00 kb/s");
  assert.equal(bitRate(1_234_567), "1.23 Mb/s");
  assert.equal(bytes(99_960_000), "100 MB");
  assert.equal(bytes(12_340), "12.3 kB");
  assert.equal(bytes(null), "–");
  assert.equal(bytes(2e15), "2.00 PB");
  assert.equal(bytes(2e19), "20000 PB");
  assert.deepEqual(scaled(-1500), { digits: "−1.50", prefix: "k" });
});

test("counts are whole and grouped", () => {
  assert.equal(count(1234567), "1,234,567");
  assert.equal(count(0), "0");
  assert.equal(compact(9999), "9,999");
  assert.equal(compact(44_120_500), "44.1 M");
  assert.equal(plural(1, "peer"), "1 peer");
  assert.equal(plural(0, "peer"), "0 peers");
});

// Catches a span that is told in one unit too many or rounds a peer's silence away.
test("spans and times", () => {
  assert.equal(span(0), "0 s");
  assert.equal(span(59), "59 s");
  assert.equal(span(60), "1 min");
  assert.equal(span(3_661), "1 h 1 min");
  assert.equal(span(86_400 * 2 + 3), "2 d");
  const now = Date.UTC(2026, 10, 21, 12);
  assert.equal(relative(now - 181_000, now), "3 min ago");
  assert.equal(relative(now + 3 * 86_400_000, now), "in 3 d");
  assert.equal(relative(now - 1_000, now), "now");
  assert.equal(exact(now), "2026-11-21 12:00:00 UTC");
  assert.equal(instant("nonsense"), null);
  assert.equal(instant(null), null);
  assert.equal(countdown(62.9), "1:02");
  assert.equal(countdown(-3), "0:00");
});

test("latencies", () => {
  assert.equal(milliseconds(0.18), "180 µs");
  assert.equal(milliseconds(4.04), "4.0 ms");
  assert.equal(milliseconds(120.4), "120 ms");
  assert.equal(milliseconds(null), "–");
});
