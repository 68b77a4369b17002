// The suite's origin, with its own handlers, on loopback alone; the first line it prints is its
// port. The suite's server.mjs would listen on every address.

import http from "node:http";
import { part } from "./edition.mjs";

const handler = async (name) => (await part(`server/handle-${name}.mjs`)).default;
const handlers = {
  config: await handler("config"),
  state: await handler("state"),
  test: await handler("test"),
};

const server = http.createServer((request, response) => {
  const [, kind, ...rest] = new URL(request.url, "http://origin").pathname.split("/");
  const handler = handlers[kind];
  if (handler) return handler(rest, request, response);
  response.writeHead(404).end();
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
