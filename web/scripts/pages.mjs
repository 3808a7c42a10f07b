// Runs the page tests: against WEIR_URL where it is set, else against a mock that is started for them.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const env = { ...process.env };
let mock;

if (!env.WEIR_URL) {
  mock = spawn(process.execPath, ["mock/main.mjs", "--port", "0", "--peers", "60", "--new"], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  env.WEIR_URL = await new Promise((resolve, reject) => {
    mock.stdout.once("data", (line) => resolve(String(line).trim()));
    mock.once("exit", (code) => reject(new Error(`the mock ended with ${code}`)));
  });
  env.WEIR_MOCK = "1";
}

const wanted = process.argv.slice(2);
const files = readdirSync(`${root}/tests/pages`)
  .filter((name) => mock || name !== "mock.test.mjs")
  .filter((name) => name.endsWith(".test.mjs") && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .map((name) => `tests/pages/${name}`);
if (!mock) console.log("mock.test.mjs is for the mock alone: not run against WEIR_URL");
// One file after the other: they share the gateway behind the page.
let failed = false;
for (const file of files) {
  const run = spawn(process.execPath, ["--test", "--test-reporter=spec", file], { cwd: root, env, stdio: "inherit" });
  if ((await new Promise((resolve) => run.once("exit", resolve))) !== 0) failed = true;
  // The first file changed the first password.
  env.WEIR_PASSWORD = env.WEIR_NEW_PASSWORD ?? "correct horse battery";
}
mock?.kill();
process.exit(failed ? 1 : 0);
