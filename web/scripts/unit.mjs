// Runs the unit tests: bundles each with what it tests, since Node reads no TypeScript, and hands them to node --test.

import { build } from "esbuild";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "weir-unit-"));
try {
  await build({
    entryPoints: readdirSync(join(root, "tests/unit")).map((name) => join(root, "tests/unit", name)),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node18",
    sourcemap: "inline",
  });
  const files = readdirSync(out).map((name) => join(out, name));
  const run = spawn(process.execPath, ["--enable-source-maps", "--test", ...files], { stdio: "inherit" });
  process.exitCode = await new Promise((resolve) => run.once("exit", resolve));
} finally {
  rmSync(out, { recursive: true, force: true });
}
