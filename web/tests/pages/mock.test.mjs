// What only the mock can be made to do: the data plane away, the stream cut, five hundred peers on the map. Not run
// where WEIR_URL names a real gateway; scripts/pages.mjs says so.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { axe, BASE, go, heard, open, signIn, start, stop } from "./browser.mjs";

const PICTURES = process.env.WEIR_PICTURES ?? fileURLToPath(new URL("../../../target/web/", import.meta.url));
const lever = (name, body = {}) => fetch(new URL(`/mock/${name}`, BASE), { method: "POST", body: JSON.stringify(body) });

describe("what goes wrong behind the page", () => {
  let page;
  before(async () => {
    await start();
    page = await open();
    await signIn(page);
  });
  after(stop);

  // Catches a page that shows old values as live ones.
  test("the data plane is away: the page says so and shows no peer as connected", async () => {
    await lever("dataplane", { present: false });
    try {
      await page.getByRole("alert").filter({ hasText: "data plane is away" }).waitFor();
      await page.screenshot({ path: `${PICTURES}/away-light.png` });
      assert.deepEqual(await axe(page), []);
      await go(page, "peers", "Peers");
      await page.locator("[data-state]").first().waitFor();
      assert.equal(await page.locator("[data-state=connected]").count(), 0);
    } finally {
      await lever("dataplane", { present: true });
    }
    await page.getByRole("alert").filter({ hasText: "data plane is away" }).waitFor({ state: "detached" });
  });

  // Catches a page that stays deaf after its stream broke.
  test("the stream is cut: the page listens again", async () => {
    await page.locator(".link-state", { hasText: "Live" }).waitFor();
    await lever("cut-streams");
    await page.locator(".link-state", { hasText: /Reconnecting|Connecting/ }).waitFor();
    await page.locator(".link-state", { hasText: "Live" }).waitFor();
  });

  test("the map is legible with five peers and with five hundred", async () => {
    for (const count of [5, 500]) {
      await page.route("**/v1/topology", async (route) => {
        const answer = await (await route.fetch()).json();
        const few = answer.nodes.filter((node) => node.kind === "gateway");
        const peers = answer.nodes.filter((node) => node.kind === "peer");
        while (few.length <= count) few.push({ ...peers[few.length % peers.length], id: `p${few.length}` });
        await route.fulfill({ json: { ...answer, nodes: few } });
      });
      for (const [look, how] of Object.entries({ light: { width: 1360, height: 900 }, phone: { width: 360, height: 780 } })) {
        await page.setViewportSize(how);
        await go(page, "nowhere", "Nothing here");
        await go(page, "topology", "Topology");
        await page.locator(".map .node").nth(count - 1).waitFor({ state: "attached" });
        await page.waitForTimeout(200);
        assert.equal(await page.locator(".map .node").count(), count);
        assert.equal(await nodesApart(page), true, "no two peers are drawn onto each other");
        await page.screenshot({ path: `${PICTURES}/topology-${count}-${look}.png`, fullPage: true });
        assert.deepEqual(await axe(page), []);
      }
      await page.unroute("**/v1/topology");
    }
  });

  test("nothing was complained of all the while", () => assert.deepEqual(heard(page, /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION|ERR_EMPTY/), []));
});

/** Whether the shapes keep apart by at least a quarter of their size. */
function nodesApart(page) {
  return page.evaluate(() => {
    const places = [...document.querySelectorAll(".map .node > g")].map((node) => node.getBoundingClientRect());
    return places.every((a, i) => places.every((b, j) => i >= j || Math.hypot(a.x - b.x, a.y - b.y) > 0.75 * Math.min(a.width, a.height)));
  });
}
