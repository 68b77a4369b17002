// The film page. What plays comes from play.json, which `cargo xtask up` writes; the
// fragment of the URL can choose: #player=shaka-dash&edge=1&rate=4&hls=/path&dash=/path.
// `window.weir` tells a driver what happened.

import { watch, shown } from "./watch.js";
import { PLAYERS, start } from "./players.js";
import { drawCharts } from "./chart.js";

const $ = (id) => document.getElementById(id);
const video = $("video");
const options = new URLSearchParams(location.hash.slice(1));
const weir = (window.weir = {
  player: null, version: null, ended: false, error: null, notes: [], stalls: 0,
  segments: [], frames: 0, dropped: 0,
});
const buffers = [];
const NAMES = { h3: "HTTP/3", h2: "HTTP/2", "http/1.1": "HTTP/1.1", "http/1.0": "HTTP/1.0" };
let playing = null;

const bits = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)} Mbit/s` : `${Math.round(n / 1e3)} kbit/s`);
const bytes = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(2)} MB` : `${(n / 1e3).toFixed(1)} kB`);
const ms = (n) => (n == null ? "–" : n < 10 ? `${n.toFixed(1)} ms` : `${Math.round(n)} ms`);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

watch((request) => {
  if (request.kind === "manifest") return;
  weir.segments.push(request);
  showRequest(request);
});

const config = await (await fetch("play.json", { cache: "no-store" })).json();
const edges = config.edges.length ? config.edges : [{ name: "edge", url: location.origin }];
let edge = Math.min(Number(options.get("edge") ?? edges.findIndex((e) => e.url === location.origin)), edges.length - 1);
if (!(edge >= 0)) edge = 0;
let chosen = options.get("player") in PLAYERS ? options.get("player") : "hls.js";

document.title = `${config.title} · Weir`;
$("title").textContent = config.title;
$("home").href = location.pathname;
$("quic").textContent = config.quic_command;
$("trust").textContent = config.trust;
for (const { what, command } of config.next ?? []) {
  const dt = document.createElement("dt"), dd = document.createElement("dd"), pre = document.createElement("pre");
  dt.textContent = what;
  pre.textContent = command;
  dd.append(pre);
  $("next").append(dt, dd);
  $("next-panel").hidden = false;
}
buttons($("players"), Object.entries(PLAYERS).map(([id, p]) => [id, p.label]), () => chosen, (id) => { chosen = id; play(); });
if (edges.length > 1) {
  $("edges").hidden = false;
  buttons($("edges"), edges.map((e, at) => [String(at), e.name]), () => String(edge), (id) => { edge = Number(id); play(); });
}
drawCharts($("bars"), weir.segments, $("line"), buffers);
setInterval(showPlayback, 250);
await play();

function buttons(nav, list, current, choose) {
  const show = () => { for (const b of nav.children) b.setAttribute("aria-pressed", String(b.dataset.id === current())); };
  for (const [id, label] of list) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.id = id;
    button.textContent = label;
    button.onclick = () => { choose(id); show(); };
    nav.append(button);
  }
  show();
}

async function play() {
  const before = playing;
  playing = null;
  Object.assign(weir, { player: chosen, ended: false, error: null, stalls: 0 });
  notice(null);
  try {
    await before?.stop();
    const { format } = PLAYERS[chosen];
    const url = new URL(options.get(format) ?? config[format], edges[edge].url).href;
    playing = await start(chosen, video, url, { error: fail, note: (text) => weir.notes.push(text) });
    weir.version = playing.version;
    video.defaultPlaybackRate = video.playbackRate = Number(options.get("rate") ?? 1);
    await begin();
  } catch (error) {
    fail(String(error?.message ?? error));
  }
}

/** Browsers let a page begin by itself only without sound. */
async function begin() {
  try {
    await video.play();
  } catch (error) {
    if (error.name !== "NotAllowedError") return; // A change of player aborts the last play().
    video.muted = true;
    await video.play().then(() => notice("Muted, as browsers ask of pages that start by themselves: use the volume control."), () => {});
  }
}

function fail(text) {
  weir.error = text;
  notice(`${PLAYERS[chosen].label} stopped: ${text}`, true);
}

function notice(text, bad = false) {
  $("notice").hidden = !text;
  $("notice").textContent = text ?? "";
  $("notice").classList.toggle("bad", bad);
}

video.addEventListener("ended", () => { weir.ended = true; });
video.addEventListener("waiting", () => { if (video.currentTime > 0.5 && !video.ended) weir.stalls += 1; });
video.addEventListener("error", () => fail(video.error?.message || `media error ${video.error?.code}`));
video.addEventListener("ratechange", () => { weir.rate = video.playbackRate; });
video.addEventListener("volumechange", () => { if (!video.muted) notice(null); });

function showPlayback() {
  const quality = video.getVideoPlaybackQuality?.();
  weir.frames = quality?.totalVideoFrames ?? 0;
  weir.dropped = quality?.droppedVideoFrames ?? 0;
  let ahead = 0;
  for (let i = 0; i < video.buffered.length; i += 1) {
    if (video.buffered.start(i) <= video.currentTime + 0.1) ahead = Math.max(ahead, video.buffered.end(i) - video.currentTime);
  }
  // The chart rests when the film does, so that the last minute of a film stays to be read.
  if (!video.ended || buffers.length === 0) {
    buffers.push({ at: performance.now(), seconds: Math.max(0, ahead) });
    if (buffers.length > 400) buffers.shift();
  }
  $("buffer").textContent = `${ahead.toFixed(1)} s`;
  $("buffer-sub").textContent = weir.stalls ? `${weir.stalls} stalls` : "no stall";
  $("frames").textContent = String(weir.frames);
  $("frames-sub").textContent = `${weir.dropped} dropped`;
  const rung = playing?.rung();
  if (rung) {
    $("rung").textContent = rung.height ? `${rung.height}p` : "audio";
    $("rung-sub").textContent = `${rung.width}×${rung.height}, ${bits(rung.bitsPerSecond)}`;
  }
}

function showRequest(request) {
  const all = weir.segments.filter((s) => !s.aborted && s.cache !== "BROWSER");
  const protocol = request.protocol || "unknown";
  if (request.protocol && request.cache !== "BROWSER") {
    $("tile-protocol").dataset.protocol = protocol;
    $("protocol").textContent = NAMES[protocol] ?? protocol;
  }
  const same = all.filter((s) => s.protocol === protocol).length;
  $("protocol-sub").textContent = `${same} of ${all.length} segments`;
  const hits = all.filter((s) => s.cache === "HIT").length;
  $("cache").textContent = `${Math.round((100 * hits) / Math.max(1, all.length))} %`;
  $("cache-sub").textContent = `${hits} HIT, ${all.length - hits} not`;
  $("tile-cache").toggleAttribute("data-cold", hits * 2 < all.length);
  const firsts = all.map((s) => s.firstByteMs).filter((n) => n != null);
  if (firsts.length) {
    $("ttfb").textContent = ms(median(firsts));
    $("ttfb-sub").textContent = `median; slowest ${ms(Math.max(...firsts))}`;
  }
  $("count").textContent = `${all.length} so far, newest first`;

  const row = document.createElement("tr");
  const cell = (text, numeric) => {
    const td = document.createElement("td");
    if (numeric) td.className = "n";
    td.append(text);
    row.append(td);
    return td;
  };
  cell(shown(request.url).split("/").slice(-2).join("/")).title = shown(request.url);
  const badge = document.createElement("span");
  badge.className = `badge ${{ HIT: "hit", MISS: "miss" }[request.cache] ?? "other"}`;
  if (request.aborted) badge.textContent = "cut";
  else badge.textContent = request.status >= 200 && request.status < 300 ? request.cache : request.status || "failed";
  cell(badge).title = request.cacheStatus;
  cell(NAMES[protocol] ?? protocol);
  cell(bytes(request.bytes), true);
  cell(ms(request.firstByteMs), true);
  cell(ms(request.wholeMs), true);
  $("rows").prepend(row);
  while ($("rows").children.length > 300) $("rows").lastChild.remove();
}
