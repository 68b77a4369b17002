// Which edition of the suite runs: npm's, or with WEIR_CACHE_SUITE a checkout of its repository,
// which is newer and names its directories otherwise.

import path from "node:path";
import { pathToFileURL } from "node:url";

const checkout = process.env.WEIR_CACHE_SUITE;

// Whether it is a checkout.
export const current = Boolean(checkout);

// A module of the suite.
export function part(name) {
  if (!checkout) return import(`http-cache-tests/${name}`);
  const folder = name.startsWith("tests/") ? "" : "test-engine";
  return import(pathToFileURL(path.resolve(checkout, folder, name)));
}
