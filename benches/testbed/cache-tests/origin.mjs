// The suite's origin, with its own handlers, on loopback alone; the first line it prints is its
// port. The suite's server.mjs would listen on every address.

import http from "node:http";
import handleConfig from "http-cache-tests/server/handle-config.mjs";
import handleState from "http-cache-tests/server/handle-state.mjs";
import handleTest from "http-cache-tests/server/handle-test.mjs";

const handlers = { config: handleConfig, state: handleState, test: handleTest };

const server = http.createServer((request, response) => {
  const [, kind, ...rest] = new URL(request.url, "http://origin").pathname.split("/");
  const handler = handlers[kind];
  if (handler) return handler(rest, request, response);
  response.writeHead(404).end();
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
