// What operators do, as they do it.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import jsQR from "jsqr";
import { PNG } from "pngjs";
import { api, axe, BASE, go, heard, open, passwordNow, signIn, start, stop, USER } from "./browser.mjs";

const PICTURES = process.env.WEIR_PICTURES ?? fileURLToPath(new URL("../../../target/web/", import.meta.url));
const KEPT_CONF = process.env.WEIR_KEPT_CONF;
const STAMP = Date.now().toString(36);
const REFUSED = /Failed to load resource: the server responded with a status of (400|401|409|412|422)|ERR_FAILED|ERR_INTERNET_DISCONNECTED/;

const path = (key) => key.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const made = [];

/** A peer that a test may do with what it likes. */
async function peer(page, name, more = {}) {
  const { peer: created } = await api(page, "POST", "/peers", { name: `${name}-${STAMP}`, ...more });
  made.push(created.public_key);
  return created;
}

describe("what operators do", () => {
  let page;
  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    await start();
    page = await open();
    await signIn(page);
  });
  after(async () => {
    for (const key of made) await api(page, "DELETE", `/peers/${path(key)}`).catch(() => undefined);
    await stop();
  });

  // Catches a control that cannot be reached or worked by keys, focus that is lost, and a QR code that says something
  // else than the configuration beside it.
  test("a peer is added by keyboard alone, and its QR code is its .conf", async () => {
    const name = `keys-${STAMP}`;
    await go(page, "", /Gateway/);
    await page.evaluate(() => document.activeElement?.blur());
    await tabTo(page, "Peers");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Peers" }).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");
    await tabTo(page, "Add a peer");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Add a peer" }).waitFor();
    await tabTo(page, "Name");
    await page.keyboard.type(name);
    await tabTo(page, "Only the networks behind this gateway", /^Only the networks/);
    await page.keyboard.press("ArrowDown");
    await tabTo(page, "Add the peer");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: `${name} is added` }).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");

    const conf = await page.locator("[data-secret=conf]").textContent();
    // Behind the page of a laboratory a client is brought up by what the QR code says.
    if (KEPT_CONF) writeFileSync(KEPT_CONF, conf, { mode: 0o600 });
    else made.push((await api(page, "GET", `/peers?q=${name}`)).items[0].public_key);
    assert.match(conf, /^\[Interface\]\nPrivateKey = [A-Za-z0-9+/]{43}=\n/);
    assert.match(conf, /AllowedIPs = 0\.0\.0\.0\/0/, "the choice by the arrow key was taken");
    const picture = PNG.sync.read(await page.getByRole("img", { name: /QR code/ }).screenshot());
    const code = jsQR(new Uint8ClampedArray(picture.data), picture.width, picture.height);
    assert.equal(code?.data, conf);

    await tabTo(page, "Download", /^Download/);
    const [file] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    assert.match(file.suggestedFilename(), /^[A-Za-z0-9_=+.-]{1,15}\.conf$/);
    assert.equal(readFileSync(await file.path(), "utf8"), conf);
    for (const [look, theme, width] of [["light", "light", 1360], ["dark", "dark", 1360], ["phone", "light", 360]]) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 900 });
      await page.screenshot({ path: `${PICTURES}/created-${look}.png`, fullPage: true });
      assert.deepEqual(await axe(page), []);
    }
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
    await page.setViewportSize({ width: 1360, height: 900 });

    // Shown once: after a reload the private key is nowhere.
    const secret = /PrivateKey = (\S+)/.exec(conf)[1];
    await page.reload();
    await page.getByRole("heading", { level: 1 }).waitFor();
    assert.ok(!(await page.content()).includes(secret));
  });

  // Catches a refusal that is not shown at its field, and input that is lost by a refusal or a dead network.
  test("problems stand at their fields, and nothing typed is lost", async () => {
    await go(page, "peers/new", "Add a peer");
    await page.getByLabel("Name").fill("-bad-");
    await page.getByLabel("Groups").fill("alpha, beta");
    await page.getByLabel("Addresses").fill("10.0.0");
    await page.getByRole("button", { name: "Add the peer" }).click();
    const field = page.getByLabel("Name");
    await page.locator("[name=name][aria-invalid=true]").waitFor();
    const told = await field.evaluate((input) => input.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id)?.textContent).join(" "));
    assert.match(told, /Expected .*letters/);
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "name", "the first field with a problem has the focus");

    await page.route("**/v1/peers", (route) => route.abort());
    await page.getByLabel("Name").fill(`kept-${STAMP}`);
    await page.getByRole("button", { name: "Add the peer" }).click();
    await page.getByRole("alert").filter({ hasText: "did not answer" }).waitFor();
    assert.equal(await page.getByLabel("Name").inputValue(), `kept-${STAMP}`);
    assert.equal(await page.getByLabel("Groups").inputValue(), "alpha, beta");
    await page.unroute("**/v1/peers");

    // The session ends while the form is filled: signing in again leaves it as it was.
    await api(page, "DELETE", "/session");
    await page.getByRole("button", { name: "Add the peer" }).click();
    const again = page.getByRole("dialog", { name: "Your session ended" });
    await again.waitFor();
    await page.screenshot({ path: `${PICTURES}/session-ended-light.png` });
    assert.deepEqual(await axe(page), []);
    await again.getByLabel("Password").fill(passwordNow());
    await again.getByRole("button", { name: "Sign in" }).click();
    await again.waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("Groups").inputValue(), "alpha, beta");
  });

  // Catches a view whose address does not lead back to it.
  test("deep links survive a reload and a sign-in", async () => {
    const one = await peer(page, "deep");
    await go(page, `peers/${path(one.public_key)}?range=7d`, one.name);
    await page.reload();
    await page.getByRole("heading", { level: 1, name: one.name }).waitFor();
    assert.equal(await page.getByRole("button", { name: "7 d" }).getAttribute("aria-pressed"), "true");

    await page.goto(`${BASE}#/peers?q=deep-${STAMP}&sort=-rx_bytes`);
    await page.getByRole("link", { name: one.name }).waitFor();
    await page.reload();
    await page.getByRole("link", { name: one.name }).waitFor();
    assert.equal(await page.getByRole("searchbox").inputValue(), `deep-${STAMP}`);
    assert.equal(await page.getByRole("columnheader", { name: "Received" }).getAttribute("aria-sort"), "descending");

    await api(page, "DELETE", "/session");
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await signInHere(page);
    await page.getByRole("link", { name: one.name }).waitFor();
  });

  // Catches an edit that changes more than was typed, and a stale one that overwrites another's.
  test("a peer is edited, and another's change meanwhile is not overwritten", async () => {
    const one = await peer(page, "edit", { notes: "as it was" });
    await go(page, `peers/${path(one.public_key)}`, one.name);
    await page.getByRole("button", { name: "Edit" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Groups").fill("night shift");
    await api(page, "PATCH", `/peers/${path(one.public_key)}`, { notes: "another was here" });
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByRole("button", { name: "Take theirs and keep what I typed" }).click();
    assert.equal(await dialog.getByLabel("Notes").inputValue(), "another was here");
    assert.equal(await dialog.getByLabel("Groups").inputValue(), "night shift");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    const now = await api(page, "GET", `/peers/${path(one.public_key)}`);
    assert.deepEqual([now.groups, now.notes], [["night shift"], "another was here"]);
  });

  // Catches a change of many that is made without its diff, and one that misses some.
  test("peers are disabled together, by a diff", async () => {
    const some = [await peer(page, "bulk-a"), await peer(page, "bulk-b")];
    await go(page, `peers?q=bulk-`, "Peers");
    for (const one of some) await page.getByRole("checkbox", { name: `Choose ${one.name}` }).check();
    await page.getByRole("region", { name: "Chosen peers" }).getByRole("button", { name: "Disable" }).click();
    await page.getByRole("button", { name: "Show what changes" }).click();
    await page.getByRole("list", { name: "What changes" }).waitFor();
    assert.equal(await page.getByRole("list", { name: "What changes" }).getByRole("listitem").count(), 2);
    assert.equal((await api(page, "GET", `/peers/${path(some[0].public_key)}`)).disabled, false, "a diff changes nothing");
    await page.getByRole("button", { name: "Apply" }).click();
    for (const one of some) await page.locator(`[data-key="${one.public_key}"] [data-state=disabled]`).waitFor();
  });

  // Catches a rule that is applied without a way back, and a countdown that does not do what its buttons say.
  test("rules are reviewed, applied for a while, taken back, applied and kept", async () => {
    const name = `page test ${STAMP}`;
    const group = `night ${STAMP}`;
    await peer(page, "ruled", { groups: [group] });
    const has = async () => (await api(page, "GET", "/rules")).items.some((rule) => rule.name === name);
    await go(page, "rules", "Access rules");
    await addRule(page, name, group);
    await page.getByRole("button", { name: "Review and apply" }).click();
    await page.getByRole("list", { name: "What changes" }).waitFor();
    await page.screenshot({ path: `${PICTURES}/rules-apply-light.png` });
    assert.equal(await has(), false, "a diff changes nothing");
    await page.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
    await page.getByRole("button", { name: "Revert now" }).waitFor();
    assert.equal(await has(), true);
    await page.screenshot({ path: `${PICTURES}/rules-pending-light.png` });
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Revert now" }).click();
    await page.getByRole("button", { name: "Revert now" }).waitFor({ state: "detached" });
    assert.equal(await has(), false);

    await page.getByRole("button", { name: "Add a rule" }).waitFor();
    await page.waitForFunction((text) => !document.querySelector("main").textContent.includes(text), name);
    await addRule(page, name, group);
    await page.getByRole("button", { name: "Review and apply" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
    await page.getByRole("button", { name: "Keep", exact: true }).click();
    await page.getByRole("button", { name: "Keep", exact: true }).waitFor({ state: "detached" });
    assert.equal(await has(), true);
    const rest = (await api(page, "GET", "/rules")).items.filter((rule) => rule.owner === "control" && rule.name !== name);
    await api(page, "PUT", "/rules", { items: rest.map(({ owner: _, packets: __, ...rule }) => rule) });
  });

  // Catches a token that can be read a second time.
  test("a token is shown once", async () => {
    await go(page, "access", "Users and tokens");
    await page.getByRole("button", { name: "Make a token" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill(`page-${STAMP}`);
    await page.getByRole("dialog").getByRole("button", { name: "Make the token" }).click();
    const token = await page.locator("[data-secret=token]").textContent();
    assert.match(token, /^weir_/);
    await page.screenshot({ path: `${PICTURES}/token-shown-light.png` });
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("rowheader", { name: `page-${STAMP}` }).waitFor();
    assert.ok(!(await page.content()).includes(token));
    await page.getByRole("button", { name: `Revoke page-${STAMP}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("rowheader", { name: `page-${STAMP}` }).waitFor({ state: "detached" });
  });

  // Catches a page that does not say where it went to those who do not see it, and a skip link that leads nowhere.
  test("the focus follows the page, and the skip link leads to the content", async () => {
    await page.goto(BASE);
    await page.getByRole("heading", { level: 1, name: /Gateway/ }).waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
    await page.getByRole("link", { name: "Topology" }).click();
    await page.getByRole("heading", { level: 1, name: "Topology" }).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");
    assert.match(await page.title(), /^Topology/);
  });

  // Catches a control that is offered to who may not use it, and a page that asks for what it is then refused.
  test("a viewer sees the gateway and is offered nothing to change", async () => {
    const name = `viewer-${STAMP}`;
    const secret = `only for looking ${STAMP}`;
    await api(page, "POST", "/users", { name, role: "viewer", password: secret, must_change_password: false });
    const one = (await api(page, "GET", "/peers?owner=control&limit=1")).items[0];
    await api(page, "DELETE", "/session");
    const look = await open();
    await look.goto(BASE);
    await look.getByLabel("Name").fill(name);
    await look.getByLabel("Password", { exact: true }).fill(secret);
    await look.getByRole("button", { name: "Sign in" }).click();
    await look.getByRole("heading", { level: 1, name: /Gateway/ }).waitFor();
    assert.deepEqual(await look.getByRole("navigation").getByRole("link", { name: /Audit|Users/ }).count(), 0);
    const changing = /^(Add (a|the)|Edit|Delete|Disable|Enable|Rotate|Save|Make|Revoke|Restore|Move|Diagnose with|Choose)\b/;
    for (const [place, heading] of [["peers", "Peers"], [`peers/${path(one.public_key)}`, /./], ["rules", "Access rules"], ["topology", "Topology"], ["alerts", "Alerts"], ["settings", "Settings"]]) {
      await go(look, place, heading);
      await look.waitForTimeout(300);
      assert.equal(await look.getByRole("main").getByRole("button", { name: changing }).count(), 0, `a button on ${place}`);
      assert.equal(await look.getByRole("main").getByRole("link", { name: changing }).count(), 0, `a link on ${place}`);
      assert.deepEqual(await axe(look), [], place);
    }
    assert.deepEqual(heard(look, /status of 401/), []);
    await api(look, "DELETE", "/session");
    await look.close();
    await page.goto(BASE);
    await signIn(page);
    await api(page, "DELETE", `/users/${name}`);
  });

  test("nothing was complained of all the while", () => assert.deepEqual(heard(page, REFUSED), []));
});

async function addRule(page, name, group) {
  await page.getByRole("button", { name: "Add a rule" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("From").fill(`group:${group}`);
  await dialog.getByLabel("From").press("Enter");
  await dialog.getByLabel("Traffic").selectOption("tcp");
  await dialog.getByLabel("Ports").fill("25, 465");
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("button", { name: "Take into the list" }).click();
  await dialog.waitFor({ state: "detached" });
}

async function signInHere(page) {
  await page.getByLabel("Name").fill(USER);
  await page.getByLabel("Password", { exact: true }).fill(passwordNow());
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Presses Tab until the control with this name has the focus. */
async function tabTo(page, name, pattern = new RegExp(`^${name}$`)) {
  for (let n = 0; n < 80; n++) {
    await page.keyboard.press("Tab");
    const here = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element) return "";
      const label = element.labels?.[0];
      return (element.getAttribute("aria-label") ?? label?.innerText ?? element.innerText ?? "").trim();
    });
    if (pattern.test(here.split("\n")[0])) return;
  }
  assert.fail(`no Tab reaches ${name}`);
}
