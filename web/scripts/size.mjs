// What a browser loads for the page, gzipped, must stay within 120 kB.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const MOST = 120_000;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));

let total = 0;
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = `${entry.parentPath ?? entry.path}/${entry.name}`;
  const size = gzipSync(readFileSync(path), { level: 9 }).length;
  total += size;
  console.log(`${String(size).padStart(8)}  ${path.slice(dist.length)}`);
}
console.log(`${String(total).padStart(8)}  of at most ${MOST} bytes, gzipped`);
if (total > MOST) process.exit(1);
