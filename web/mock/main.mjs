// A stand-in for weir-control, for work on the page and for its tests: the API under /v1 over peers that do not exist,
// and the built page beside it with the policy that the real server sends. Nothing is kept.
//
//   node mock/main.mjs [--port 8099] [--peers 60] [--new]
//
// --new: the administrator must change its password first, as after the first start. The name is admin, the password
// first-password. Under /mock tests turn what an operator cannot: see levers.mjs.

import { createServer } from "node:http";
import { api } from "./api.mjs";
import { failed, Refused, send } from "./http.mjs";
import { levers } from "./levers.mjs";
import { page } from "./page.mjs";
import { tickStreams } from "./stream.mjs";
import { makeWorld } from "./world.mjs";

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};

const world = makeWorld({ peers: Number(option("peers", 60)), fresh: process.argv.includes("--new") });

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://mock");
  try {
    if (url.pathname.startsWith("/v1/")) await api(world, request, response, url);
    else if (url.pathname.startsWith("/mock/")) await levers(world, request, response, url);
    else await page(response, url.pathname);
  } catch (error) {
    if (error instanceof Refused) failed(response, error);
    else {
      console.error(error);
      if (!response.headersSent) send(response, 500, { type: "about:blank", title: "The mock failed", status: 500, detail: String(error) });
    }
  }
});

setInterval(() => {
  world.advance();
  tickStreams(world);
}, 1000);

server.listen(Number(option("port", 8099)), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
