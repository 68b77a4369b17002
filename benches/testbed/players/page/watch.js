// Watches every media request of the page, whichever player sends it: what the edge said
// about its cache, how long it took, and over which protocol it came.
//
// Players use fetch or XMLHttpRequest; both are wrapped, because `Cache-Status` is only
// seen on the response. Protocol and first byte come from Resource Timing, which another
// edge must allow with `Timing-Allow-Origin`.

const MEDIA = /\.(m4s|mp4|cmfv|cmfa|cmft|m4v|m4a|ts|aac|vtt)$/;
const MANIFEST = /\.(m3u8|mpd)$/;

/** "segment", "init", "manifest", or null for what is no part of a film. */
export function kindOf(url) {
  const path = new URL(url, location.href).pathname;
  if (MANIFEST.test(path)) return "manifest";
  if (!MEDIA.test(path)) return null;
  return /(^|[/_-])init[^/]*$/.test(path) ? "init" : "segment";
}

/** The path as one may show it: what follows the token. */
export function shown(url) {
  return new URL(url, location.href).pathname.replace(/^\/t\/[^/]+\//, "/");
}

/** RFC 9211: the last member is the cache nearest to us, which is the edge. */
export function cacheResult(value) {
  if (!value) return "?";
  const last = value.split(",").pop();
  if (/;\s*hit\b/.test(last)) return "HIT";
  const fwd = /;\s*fwd=([a-z-]+)/.exec(last);
  if (!fwd) return "?";
  return /;\s*collapsed\b/.test(last) ? "SHARED" : fwd[1] === "stale" ? "STALE" : "MISS";
}

/** Calls `done` once for each request that ended, with what is known of it. */
export function watch(done) {
  const timings = new Map(); // url -> entries that no request has claimed yet
  const waiting = new Map(); // url -> requests whose timing has not come yet

  const settle = (request, entry) => {
    request.settled = true;
    request.protocol = entry?.nextHopProtocol || "";
    // Immutable segments come from the browser's own cache the second time.
    if (entry && entry.transferSize === 0 && entry.encodedBodySize > 0) request.cache = "BROWSER";
    request.firstByteMs = entry?.responseStart > 0 ? entry.responseStart - entry.startTime : null;
    request.wholeMs = entry ? entry.duration : request.endedAt - request.startedAt;
    done(request);
  };
  const take = (map, url) => {
    const list = map.get(url);
    const first = list?.shift();
    if (list && list.length === 0) map.delete(url);
    return first;
  };
  const put = (map, url, value) => map.set(url, [...(map.get(url) ?? []), value]);

  performance.setResourceTimingBufferSize?.(50);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!kindOf(entry.name)) continue;
      const request = take(waiting, entry.name);
      if (request) settle(request, entry);
      else put(timings, entry.name, entry);
    }
    performance.clearResourceTimings();
  }).observe({ type: "resource", buffered: true });

  const ended = (request) => {
    request.endedAt = performance.now();
    const entry = take(timings, request.url);
    if (entry) return settle(request, entry);
    put(waiting, request.url, request);
    // No timing may come for what was not answered; what was has one when its body ends.
    if (request.status === 0) setTimeout(() => {
      const list = waiting.get(request.url) ?? [];
      const at = list.indexOf(request);
      if (at < 0) return;
      list.splice(at, 1);
      settle(request, null);
    }, 1500);
  };
  const begun = (url) => ({
    url, kind: kindOf(url), startedAt: performance.now(), status: 0, bytes: 0, cache: "?", cacheStatus: "",
    // The player changed its mind: that is no failure of the edge.
    aborted: false,
  });
  const answered = (request, status, header) => {
    request.status = status;
    request.cacheStatus = header("cache-status") ?? "";
    request.cache = cacheResult(request.cacheStatus);
    request.bytes = Number(header("content-length") ?? 0);
  };

  const plainFetch = window.fetch;
  window.fetch = async function (input, init) {
    const url = new URL(input instanceof Request ? input.url : String(input), location.href).href;
    if (!kindOf(url)) return plainFetch.call(this, input, init);
    const request = begun(url);
    const signal = init?.signal ?? input.signal;
    signal?.addEventListener("abort", () => { request.aborted = !request.settled; });
    try {
      const response = await plainFetch.call(this, input, init);
      answered(request, response.status, (name) => response.headers.get(name));
      return response;
    } finally {
      ended(request);
    }
  };

  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, target, ...rest) {
    const url = new URL(target, location.href).href;
    if (kindOf(url)) {
      const request = begun(url);
      this.addEventListener("loadstart", () => { request.startedAt = performance.now(); });
      this.addEventListener("abort", () => { request.aborted = true; });
      this.addEventListener("loadend", () => {
        answered(request, this.status, (name) => this.getResponseHeader(name));
        ended(request);
      });
    }
    return open.call(this, method, target, ...rest);
  };
}
