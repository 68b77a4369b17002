// Runs the suite against one server: `node run.mjs BASE_URL [TEST_ID]`. Prints a JSON line for
// each test, `{ id, group, kind, verdict, message }`; the verdicts are those of the suite's own
// table: pass, fail, setup (what the test builds on did not happen), retry, dependency.

import fetch from "node-fetch";
import { current, part } from "./edition.mjs";

const { setBaseUrl, setFetch, setUseBrowserCache } = await part("client/config.mjs");
const { makeCacheTest, makeTest = makeCacheTest, testResults: results } =
  await part("client/test.mjs");
const { default: suites } = await part("tests/index.mjs");
// The newer edition has dropped this group, and its client uses node's own fetch.
const surrogate = current ? { tests: [] } : (await part("tests/surrogate-control.mjs")).default;

// As many at once as the suite's own runner.
const AT_ONCE = 100;
// Less for those that are run again, since what they measure is seconds.
const AGAIN_AT_ONCE = 20;

const [base, only] = process.argv.slice(2);
const tests = new Map();
for (const group of [...suites, surrogate]) {
  for (const test of group.tests) {
    const wanted = !test.browser_only && (!only || test.id === only);
    if (wanted) tests.set(test.id, { kind: "required", ...test, group: group.id });
  }
}

// What the suite writes with `dump` goes where it does not mix with the verdicts.
console.log = console.error;
setFetch?.(fetch);
setBaseUrl(base);
setUseBrowserCache(false);

async function run(ids, atOnce) {
  for (let at = 0; at < ids.length; at += atOnce) {
    // A run writes into its test; the next run needs a clean one.
    const some = ids.slice(at, at + atOnce).map((id) => structuredClone(tests.get(id)));
    for (const test of some) {
      delete results[test.id];
      if (only) test.dump = true;
    }
    await Promise.all(some.map(makeTest));
  }
}

function verdict(id) {
  const result = results[id];
  if (result === undefined) return "untested";
  const depends = only ? [] : (tests.get(id).depends_on ?? []);
  const missing = (other) => tests.has(other) && verdict(other) !== "pass";
  if (depends.some(missing)) return "dependency";
  if (result === true) return "pass";
  if (result[0] === "Setup") return result[1] === "retry" ? "retry" : "setup";
  return "fail";
}

await run([...tests.keys()], AT_ONCE);
// On a busy machine a pause of three seconds may be four: what did not pass has a second run.
if (!only) await run([...tests.keys()].filter((id) => results[id] !== true), AGAIN_AT_ONCE);

for (const { id, group, kind } of tests.values()) {
  const message = results[id] === true ? "" : `${results[id]?.[0]}: ${results[id]?.[1]}`;
  process.stdout.write(`${JSON.stringify({ id, group, kind, verdict: verdict(id), message })}\n`);
}
