// The browser of the page tests: Debian's Chromium, signed in, with every console message and every violation of the
// policy written down.
//
// From the environment, so that the same tests run against the mock and against the real binaries:
//   WEIR_URL, WEIR_USER, WEIR_PASSWORD   where, and who signs in
//   WEIR_NEW_PASSWORD                    what the first password is changed to, where that is demanded
//   WEIR_CHROMIUM                        the browser, /usr/bin/chromium unless told

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const BASE = process.env.WEIR_URL ?? "http://127.0.0.1:8099/";
export const USER = process.env.WEIR_USER ?? "admin";
export const NEW_PASSWORD = process.env.WEIR_NEW_PASSWORD ?? "correct horse battery";
export const MOCK = process.env.WEIR_MOCK === "1";
let password = process.env.WEIR_PASSWORD ?? "first-password";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--font-render-hinting=none"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** The password that holds now. */
export const passwordNow = () => password;

let browser;
let profile;

/** Starts the browser, with a profile of its own. */
export async function start() {
  profile = mkdtempSync(join(tmpdir(), "weir-page-"));
  browser = await chromium.launchPersistentContext(profile, { executablePath: process.env.WEIR_CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });
}

/** Ends the browser. */
export async function stop() {
  await browser?.close();
  if (profile) rmSync(profile, { recursive: true, force: true });
}

/** What a page complained of. */
const complaints = new WeakMap();

/** A page of its own size and theme. All share one profile, and so one session. */
export async function open({ width = 1360, height = 900, theme = "light" } = {}) {
  const page = await browser.newPage();
  const heard = [];
  complaints.set(page, heard);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") heard.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => heard.push(`error: ${error}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  return page;
}

/** The complaints so far, less those that `expected` matches: a browser logs every refused request by itself. */
export function heard(page, expected = /^$/) {
  return complaints.get(page).filter((line) => !expected.test(line));
}

/** Signs in by the form, and changes the first password where that is demanded; `onForced` sees that page before. */
export async function signIn(page, onForced = async () => undefined) {
  await page.goto(BASE);
  await page.getByRole("heading", { level: 1 }).waitFor();
  if ((await page.getByRole("heading", { name: "Sign in" }).count()) > 0) {
    await page.getByLabel("Name").fill(USER);
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
  }
  await page.getByRole("heading", { level: 1, name: /Choose a password|Gateway/ }).waitFor();
  if ((await page.getByRole("heading", { name: "Choose a password" }).count()) > 0) {
    await onForced();
    await page.getByLabel("Password until now").fill(password);
    await page.getByLabel("New password", { exact: true }).fill(NEW_PASSWORD);
    await page.getByLabel("New password again").fill(NEW_PASSWORD);
    await page.getByRole("button", { name: "Change password" }).click();
    password = NEW_PASSWORD;
    await page.getByRole("heading", { level: 1, name: /Gateway/ }).waitFor();
  }
}

/** Goes to a place in the page and waits for its heading. */
export async function go(page, place, heading) {
  // The same address again would be no visit: what a page shows after its work is done would stay.
  await page.goto(`${BASE}#/nowhere`);
  await page.goto(`${BASE}#/${place}`);
  await page.getByRole("heading", { level: 1, name: heading }).waitFor();
}

/** What axe finds. It is evaluated by the debugger, which no policy binds. */
export async function axe(page) {
  const debug = await page.context().newCDPSession(page);
  await debug.send("Runtime.evaluate", { expression: AXE });
  const run = `axe.run(document, { runOnly: ${JSON.stringify(TAGS)} }).then((found) => JSON.stringify(found.violations.map((v) => ({ id: v.id, help: v.help, nodes: v.nodes.map((n) => n.html.slice(0, 160) + " | " + (n.failureSummary ?? "").slice(0, 240)) }))))`;
  const { result, exceptionDetails } = await debug.send("Runtime.evaluate", { expression: run, awaitPromise: true, returnByValue: true });
  await debug.detach();
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return JSON.parse(result.value);
}

/** Calls the API as the page does, with its session. */
export async function api(page, method, path, body) {
  return page.evaluate(
    async ([method, path, body]) => {
      const session = await (await fetch("/v1/session")).json();
      const response = await fetch(`/v1${path}`, {
        method,
        headers: { "Content-Type": "application/json", "X-CSRF-Token": session.csrf_token },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text ? JSON.parse(text) : null;
    },
    [method, path, body ?? null],
  );
}
