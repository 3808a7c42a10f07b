// Every page, light, dark and on a phone: no violation of WCAG AA by axe, nothing in the console, nothing against the
// policy, nothing wider than a phone; and a picture of each, to be looked at, in target/web.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { api, axe, go, heard, open, signIn, start, stop } from "./browser.mjs";

const PICTURES = process.env.WEIR_PICTURES ?? fileURLToPath(new URL("../../../target/web/", import.meta.url));
const LOOKS = { light: { theme: "light" }, dark: { theme: "dark" }, phone: { theme: "light", width: 360, height: 780 } };

/** Opens what a page shows only on demand. */
const OPENED = {
  overview: async () => undefined,
  peers: async () => undefined,
  "peers-chosen": async (page) => {
    const boxes = page.getByRole("checkbox", { name: /^Choose (?!all)/ });
    for (let i = 0; i < 3; i++) await boxes.nth(i).check();
    await page.getByRole("button", { name: "Disable" }).click();
    await page.getByRole("button", { name: "Show what changes" }).click();
    await page.getByRole("list", { name: "What changes" }).waitFor();
  },
  peer: async (page) => {
    await page.getByRole("button", { name: "Diagnose", exact: true }).click();
    await page.locator("[data-code], .note.ok").first().waitFor();
    await page.waitForTimeout(3200);
  },
  "peer-edit": async (page) => {
    await page.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Name").waitFor();
  },
  "add-refused": async (page) => {
    await page.getByLabel("Name").fill("-no-");
    await page.getByLabel("Addresses").fill("10.0.0");
    await page.getByRole("button", { name: "Add the peer" }).click();
    await page.locator("[aria-invalid=true]").first().waitFor();
  },
  "rule-edit": async (page) => {
    await page.getByRole("button", { name: "Add a rule" }).click();
    await page.getByRole("dialog").waitFor();
  },
  "token-new": async (page) => {
    await page.getByRole("button", { name: "Make a token" }).click();
    await page.getByRole("dialog").waitFor();
  },
  menu: async (page) => {
    const menu = page.getByRole("button", { name: "Menu" });
    if (await menu.isVisible()) await menu.click();
  },
};

const WINDOWED = ["peers", "peers-chosen", "peer-edit", "rule-edit", "token-new", "menu"];

let key;

const pages = () => [
  ["overview", "", /Gateway/],
  ["peers", "peers", "Peers"],
  ["peers-chosen", "peers", "Peers"],
  ["peer", `peers/${key}`, /./],
  ["peer-edit", `peers/${key}`, /./],
  ["add", "peers/new", "Add a peer"],
  ["add-refused", "peers/new", "Add a peer"],
  ["topology", "topology", "Topology"],
  ["rules", "rules", "Access rules"],
  ["rule-edit", "rules", "Access rules"],
  ["alerts", "alerts", "Alerts"],
  ["audit", "audit", "Audit log"],
  ["access", "access", "Users and tokens"],
  ["token-new", "access", "Users and tokens"],
  ["settings", "settings", "Settings"],
  ["password", "password", "Change your password"],
  ["nothing", "nowhere", "Nothing here"],
  ["menu", "", /Gateway/],
];

/** A browser says by itself that a request was refused; the page shows that at its fields. */
const REFUSED = /Failed to load resource: the server responded with a status of (400|422)/;

describe("every page", () => {
  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    await start();
    const page = await open();
    await signIn(page, async () => {
      await page.screenshot({ path: `${PICTURES}/first-password-light.png` });
      assert.deepEqual(await axe(page), []);
    });
    // Pages are looked at with something in them: three peers at least, one of them gone where there is such.
    const have = (await api(page, "GET", "/peers?owner=control&limit=3")).items.length;
    for (let n = have; n < 3; n++) await api(page, "POST", "/peers", { name: `picture-${n}`, groups: ["pictures"], preshared_key: "generate" });
    const gone = (await api(page, "GET", "/peers?owner=control&state=disconnected&limit=1")).items;
    const any = (await api(page, "GET", "/peers?owner=control&limit=1")).items;
    key = [...gone, ...any][0].public_key.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
    await page.close();
  });
  after(stop);

  for (const [look, how] of Object.entries(LOOKS)) {
    test(`${look}: axe, console, policy, width`, async () => {
      const faults = [];
      for (const [name, place, heading] of pages()) {
        const page = await open(how);
        try {
          await go(page, place, heading);
          await OPENED[name]?.(page);
          await page.waitForTimeout(name === "overview" ? 1200 : 350);
          // A dialog, a menu and a list that draws what is in view are pictures of the window, the rest of the whole page.
          await page.screenshot({ path: `${PICTURES}/${name}-${look}.png`, fullPage: !WINDOWED.includes(name) });
          for (const violation of await axe(page)) faults.push(`${name}: ${violation.id}: ${violation.help}\n    ${violation.nodes.join("\n    ")}`);
          for (const line of heard(page, name === "add-refused" ? REFUSED : undefined)) faults.push(`${name}: console: ${line}`);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (over > 0) faults.push(`${name}: ${over} px wider than the window`);
        } catch (error) {
          faults.push(`${name}: ${error.message}`);
          await page.screenshot({ path: `${PICTURES}/${name}-${look}-failed.png` }).catch(() => undefined);
        } finally {
          await page.close();
        }
      }
      assert.equal(faults.length, 0, faults.join("\n"));
    });
  }

  for (const [look, how] of Object.entries(LOOKS)) {
    test(`${look}: signing in`, async () => {
      const page = await open(how);
      await page.context().clearCookies();
      await page.goto(process.env.WEIR_URL ?? "http://127.0.0.1:8099/");
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      await page.screenshot({ path: `${PICTURES}/sign-in-${look}.png`, fullPage: true });
      assert.deepEqual(await axe(page), []);
      // A page that still remembers a session asks for it, and is refused once.
      await page.evaluate(() => localStorage.removeItem("weir.signed-in"));
      const before = heard(page).length;
      await page.reload();
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      assert.deepEqual(heard(page).slice(before), [], "a first visit complains of nothing");
      await signIn(page);
      await page.close();
    });
  }
});
