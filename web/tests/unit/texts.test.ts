// Addresses, keys, times, names: what is written must be read back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isKey, keyFromPath, keyToPath } from "../../src/lib/keys";
import { listed, placeOf } from "../../src/lib/names";
import { fromLocal, toLocal } from "../../src/lib/times";
import { scopesOf } from "../../src/lib/scopes";
import { href, parseRoute } from "../../src/router";

const KEY = "AQID+/UGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

test("keys survive an address", () => {
  assert.equal(keyToPath(KEY), "AQID-_UGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA");
  assert.equal(keyFromPath(keyToPath(KEY)), KEY);
  assert.equal(isKey(KEY), true);
  assert.equal(isKey(KEY.replace("A=", "B=")), false, "the last bits of a key are nought");
});

// Catches a search or a name with signs of its own that does not lead back to itself.
test("places are read as they were written", () => {
  const place = parseRoute(href(["peers"], { q: "a&b=c/#?", group: undefined, sort: "-rx_bytes" }));
  assert.deepEqual(place.path, ["peers"]);
  assert.deepEqual([...place.query], [["q", "a&b=c/#?"], ["sort", "-rx_bytes"]]);
  assert.deepEqual(parseRoute("#/users/a%2Fb").path, ["users", "a/b"]);
  assert.deepEqual(parseRoute("#/%").path, ["%"]);
  assert.deepEqual(parseRoute("").path, []);
});

test("times survive a field for local time", () => {
  assert.equal(fromLocal(toLocal("2026-11-21T12:34:00Z")), "2026-11-21T12:34:00Z");
  assert.equal(fromLocal(""), null);
  assert.equal(fromLocal("nonsense"), null);
  assert.equal(toLocal(null), "");
});

test("lists are taken apart once each", () => {
  assert.deepEqual(listed(" 10.0.0.1/32,\n10.0.0.1/32  fd00::1 "), ["10.0.0.1/32", "fd00::1"]);
  assert.deepEqual(listed("night shift, sites", /[,\n;]+/), ["night shift", "sites"]);
});

test("a role has what the lesser ones have", () => {
  for (const [less, more] of [["viewer", "operator"], ["operator", "administrator"]] as const) {
    assert.ok(scopesOf(less).every((scope) => scopesOf(more).includes(scope)));
    assert.ok(scopesOf(less).length < scopesOf(more).length);
  }
});

// Catches a key that is shown with its slashes escaped, and a rule that is counted from nought.
test("differences say where they are", () => {
  assert.equal(placeOf(`/peers/${KEY.replace(/\//g, "~1")}/allowed_ips`, new Map([[KEY, "anna-phone"]])), "anna-phone › allowed ips");
  assert.equal(placeOf(`/peers/${KEY.replace(/\//g, "~1")}`), KEY);
  assert.equal(placeOf("/rules/0/ports"), "rule 1 › ports");
  assert.equal(placeOf("/settings/session_hours"), "settings › session_hours");
});
