"use strict";
// Keeps the page up to date with what the server tells once a second. Everything is written as
// text: nothing that a server or a client said is ever taken for markup. What is kept here is
// bounded: the points of the curves, and a minute of what was refused.
(() => {
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const SPACE = "\u202f";
  // Figures older than this are called old; then it is tried again so often.
  const OLD_MS = 3500, AGAIN_MS = 2000;

  // ---- Numbers as people read them ----------------------------------------------------------
  const three = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));
  const scaled = (n, base, units) => {
    let at = 0;
    while (at < units.length - 1 && n >= base * 0.9995) { n /= base; at += 1; }
    return [at === 0 ? n.toFixed(0) : three(n), units[at]];
  };
  const bits = (n) => scaled(n * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
  const bytes = (n) => scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]).join(SPACE);
  const count = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, SPACE);
  const each = (n) => (n >= 9.95 ? count(n) : n.toFixed(1));
  const share = (n) => [(n * 100).toFixed(n > 0 && n < 0.00095 ? 3 : n > 0 && n < 0.0095 ? 2 : 1), "%"];
  const seconds = (n) =>
    n < 0.001 ? [(n * 1e6).toFixed(0), "µs"] : n < 1 ? [three(n * 1e3), "ms"] : [three(n), "s"];
  const span = (s) => {
    const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    if (d >= 10) return `${count(d)}${SPACE}d`;
    const two = (n, unit, rest, small) => `${n}${SPACE}${unit}${rest ? ` ${rest}${SPACE}${small}` : ""}`;
    if (d) return two(d, "d", h, "h");
    if (h) return two(h, "h", m, "min");
    return m ? two(m, "min", Math.floor(s % 60), "s") : `${Math.floor(s)}${SPACE}s`;
  };
  const UNITS = { bytes_per_second: bits, ratio: share, seconds };
  const clock = (ms) => new Date(ms).toLocaleTimeString(undefined, { hour12: false });
  const day = (s) => new Date(s * 1000).toISOString().slice(0, 10);

  // ---- Elements -----------------------------------------------------------------------------
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const make = (tag, name, ...inside) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside);
    return element;
  };
  const draw = (tag, attributes) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  /** As many children as there are items, made once and then filled anew. */
  const list = (parent, items, build, fill) => {
    while (parent.children.length > items.length) parent.lastElementChild.remove();
    while (parent.children.length < items.length) parent.append(build());
    items.forEach((item, at) => fill(parent.children[at], item));
  };
  /** A sign, in shape and colour, with its word. */
  const sign = (element, kind, word) => {
    const name = `state is-${kind}`;
    if (element.className !== name) element.className = name;
    if (!element.firstElementChild) {
      const mark = make("span", "mark");
      mark.setAttribute("aria-hidden", "true");
      element.append(mark, make("span"));
    }
    put(element.lastElementChild, word);
  };
  const row = (classes) => () => make("tr", "", ...classes.map((name) => make("td", name)));
  const cells = (tr, texts) => texts.forEach((text, at) => text !== null && put(tr.children[at], text));

  // ---- The eight figures --------------------------------------------------------------------
  const tiles = new Map();
  let steps = 180, stepSeconds = 5, lastStep = 0, points = [];

  const tile = (figure, index) => {
    const value = make("span"), unit = make("span", "unit"), state = make("span", "state");
    const aside = make("p", "aside"), least = make("span"), told = make("span"), most = make("span");
    const area = draw("path", { class: "area" }), line = draw("path", { class: "line" });
    const at = draw("line", { class: "at", y1: 0, y2: 40 });
    const svg = draw("svg", { viewBox: `0 0 ${steps - 1} 40`, preserveAspectRatio: "none", role: "img" });
    svg.append(draw("line", { class: "base", x1: 0, x2: steps - 1, y1: 40, y2: 40 }), area, line, at);
    const curve = make("div", "curve", svg);
    const title = make("span", "", figure.title);
    const article = make("article", "figure",
      make("h2", "", title, state), make("p", "value", value, unit), aside,
      curve, make("p", "ends", least, told, most));
    article.title = figure.meaning;
    article.dataset.figure = figure.id;
    const self = { figure, index, value, unit, state, aside, area, line, at, svg, curve, least, told, most, top: null, probe: null };
    curve.addEventListener("pointermove", (event) => {
      const box = curve.getBoundingClientRect();
      self.probe = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      probe(self);
    });
    curve.addEventListener("pointerleave", () => { self.probe = null; probe(self); });
    return [article, self];
  };
  const says = (figure, n) => (n === null || n === undefined ? "–" : UNITS[figure.unit](n).join(SPACE));
  /** What stood where the pointer is. */
  const probe = (t) => {
    t.curve.classList.toggle("probed", t.probe !== null);
    if (t.probe === null) {
      put(t.told, t.top === null ? "" : `up to ${says(t.figure, t.top)}`);
      put(t.least, points.length < 2 ? "" : `${span(steps * stepSeconds)} ago`);
      put(t.most, points.length < 2 ? "curve begins" : "now");
      t.told.className = "";
      return;
    }
    const slot = Math.round(t.probe * (steps - 1)), at = slot - (steps - points.length);
    t.at.setAttribute("x1", slot); t.at.setAttribute("x2", slot);
    const ago = (steps - 1 - slot) * stepSeconds;
    t.told.className = "told";
    put(t.told, at < 0 ? "not known" : `${span(ago)} ago: ${says(t.figure, points[at][t.index])}`);
    put(t.least, ""); put(t.most, "");
  };
  /** The curve, from zero; ratios that are levels from zero to one. */
  const plot = (t) => {
    const values = points.map((point) => point[t.index]);
    const known = values.filter((value) => value !== null);
    const whole = t.figure.unit === "ratio" && t.figure.id !== "error_ratio";
    const top = Math.max(whole ? 1 : 0, ...known) || 1;
    // Of a level everybody knows the scale.
    t.top = whole ? null : Math.max(0, ...known) || null;
    const first = steps - values.length;
    const y = (value) => (40 - (value / top) * 38).toFixed(2);
    let line = "", area = "", run = [];
    const close = () => {
      if (!run.length) return;
      // A point alone is drawn as a short line.
      if (run.length === 1) run.push([run[0][0] + 0.6, run[0][1]]);
      const path = run.map(([x, v], at) => `${at ? "L" : "M"}${x} ${y(v)}`).join("");
      line += path;
      area += `${path}L${run.at(-1)[0]} 40L${run[0][0]} 40Z`;
      run = [];
    };
    values.forEach((value, at) => (value === null ? close() : run.push([first + at, value])));
    close();
    t.line.setAttribute("d", line);
    t.area.setAttribute("d", area);
    t.svg.setAttribute("aria-label", known.length
      ? `${t.figure.title}, last 15 minutes: from ${says(t.figure, Math.min(...known))} to ${says(t.figure, Math.max(...known))}`
      : `${t.figure.title}: nothing in the last 15 minutes`);
    probe(t);
  };
  /** Signs beside a figure, where it is one that tells good from bad by itself. */
  const judge = (t, n) => {
    const word = {
      error_ratio: (n) => (n >= 0.05 ? ["bad", "many"] : n >= 0.01 ? ["warn", "some"] : null),
      disks: (n) => (n < 1 ? ["bad", "not all"] : null),
      memory: (n) => (n > 1.15 ? ["bad", "over budget"] : null),
      saturation: (n) => (n >= 0.95 ? ["bad", "full"] : n >= 0.8 ? ["warn", "high"] : null),
    }[t.figure.id];
    const found = n === null || n === undefined || !word ? null : word(n);
    if (found) sign(t.state, found[0], found[1]);
    else t.state.replaceChildren();
  };
  const NAMES = { cpu: "processors", fills: "places for fills", files: "open files" };
  const aside = (id, now, tick) => {
    const minute = tick.status.overview;
    const inMinute = (figure, text) => (minute && minute[figure] !== null ? `${text} in the last minute` : "");
    switch (id) {
      case "traffic": return `${each(now.requests)} requests/s, ${count(tick.status.connections)} connections`;
      case "hit_ratio": return inMinute("hit_ratio", share(minute?.hit_ratio ?? 0).join(SPACE));
      case "ttfb_p99_s": return inMinute("ttfb_p99_s", seconds(minute?.ttfb_p99_s ?? 0).join(SPACE));
      case "error_ratio": return `${count(tick.status.errors)} of ${count(tick.status.requests)} since start`;
      case "origin_load": return `${each(now.origin_requests)} requests/s, ${count(tick.cache.fills)} fills`;
      case "disks": {
        const used = tick.disks.filter((disk) => disk.state === "online" || disk.state === "full").length;
        return tick.disks.length ? `${used} of ${tick.disks.length}` : "none configured";
      }
      case "memory": return `${bytes(now.resident_bytes)} resident`;
      case "saturation": return now.scarcest ? `scarcest: ${NAMES[now.scarcest] ?? now.scarcest}` : "";
      default: return "";
    }
  };
  const figures = (tick) => {
    for (const t of tiles.values()) {
      const n = tick.now?.[t.figure.id];
      const [value, unit] = n === null || n === undefined ? ["–", ""] : UNITS[t.figure.unit](n);
      put(t.value, value);
      put(t.unit, unit);
      put(t.aside, tick.now ? aside(t.figure.id, tick.now, tick) : "");
      judge(t, n);
    }
  };

  // ---- What stands below them ---------------------------------------------------------------
  const VERDICTS = { ok: "OK", degraded: "Degraded", down: "Down" };
  const PROTOCOLS = { h1: "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3" };
  const head = ({ status, time_ms }) => {
    document.title = `${VERDICTS[status.verdict] ?? status.verdict} · ${status.node}`;
    document.body.dataset.verdict = status.verdict;
    put($("node"), status.node);
    put($("site"), `site ${status.site}`);
    put($("verdict-word"), VERDICTS[status.verdict] ?? status.verdict);
    put($("version"), status.version);
    put($("uptime"), span(status.uptime_s));
    const config = status.config;
    const waits = config?.restart.length ? `, ${config.restart.length} for a restart` : "";
    put($("revision"), config ? `revision ${config.revision}${waits}` : "–");
    $("revision").title = config ? `since ${new Date(config.since_unix_ms).toLocaleString()}` : "";
    put($("moment"), `${new Date(time_ms).toLocaleString(undefined, { hour12: false })}`);
    $("why").hidden = status.reasons.length === 0;
    const build = () => make("li", "", make("span", "what"), make("span", "next", "→ ", make("code"), make("span")));
    list($("reasons"), status.reasons, build, (li, reason) => {
      put(li.firstElementChild, reason.what);
      li.lastElementChild.hidden = !reason.next;
      // Not every advice is a command to be copied.
      const [code, words] = li.lastElementChild.children, next = reason.next ?? "";
      const command = next.startsWith("cachectl ") && !next.includes(",");
      code.hidden = !command;
      put(code, command ? next : "");
      put(words, command ? "" : next);
    });
  };
  const protocols = ({ status }) =>
    list($("protocols"), status.protocols, row(["", "n", "n", "n"]), (tr, p) =>
      cells(tr, [PROTOCOLS[p.name] ?? p.name, count(p.connections), count(p.requests), bytes(p.bytes)]));

  const level = () => make("div", "level",
    make("div", "head", make("span", "name", make("span"), make("span", "state")), make("span", "much")),
    make("div", "track", document.createElement("i")), make("span", "note"));
  const fillLevel = (element, name, used, limit, note, state) => {
    const [top, track, below] = element.children;
    const [label, mark] = top.firstElementChild.children;
    put(label, name);
    if (state) sign(mark, ...state); else mark.replaceChildren();
    const part = limit > 0 ? Math.min(1, used / limit) : 0;
    put(top.lastElementChild, limit > 0 ? share(part).join(SPACE) : bytes(used));
    track.firstElementChild.style.width = `${(part * 100).toFixed(1)}%`;
    put(below, [limit > 0 ? `${bytes(used)} of ${bytes(limit)}` : "", note].filter(Boolean).join(", "));
  };
  const tiers = ({ cache, status }) => {
    const held = status.cache;
    const all = [["RAM", cache.memory.bytes, cache.memory.limit,
      `${count(cache.memory.chunks)} chunks, ${count(cache.memory.evictions)} put out`]];
    if (held.disk_limit > 0) all.push(["Disks", held.disk_bytes, held.disk_limit, ""]);
    list($("tiers"), all, level, (element, tier) => fillLevel(element, ...tier));
    const pairs = [
      ["objects", count(cache.objects)], ["fills under way", count(cache.fills)],
      ["joined a fill", count(cache.collapsed)], ["pinned", count(cache.pinned_objects)],
      ["damaged chunks", count(cache.checksum_failures)], ["purge epoch", count(cache.purge_epoch)],
    ];
    list($("cache"), pairs, () => make("div", "", make("dt"), make("dd")), (div, [name, value]) => {
      put(div.firstElementChild, name);
      put(div.lastElementChild, value);
    });
  };
  const CIRCUITS = {
    closed: ["ok", "closed"], open: ["bad", "open"],
    half_open: ["warn", "tried again"], recovering: ["warn", "recovering"],
  };
  const upstreams = ({ status }) => {
    // Two rows each: the second for what its last failure said.
    const parent = $("upstreams");
    const build = () => {
      if (parent.children.length % 2) {
        const said = make("td", "");
        said.colSpan = 5;
        said.append(make("span", "note"));
        return make("tr", "", said);
      }
      const tr = row(["", "", "n", "n", "n"])();
      tr.children[1].append(make("span", "state"));
      return tr;
    };
    list(parent, status.upstreams.flatMap((up) => [up, { said: up }]), build, (tr, item) => {
      const up = item.said ?? item, failing = up.state === "failing";
      if (item.said) {
        tr.hidden = !(failing && up.last_error);
        put(tr.firstElementChild.firstElementChild, up.last_error ?? "");
        return;
      }
      let circuit = CIRCUITS[up.circuit] ?? ["off", up.circuit ?? "–"];
      if (up.circuit === "closed" && failing) circuit = ["warn", "closed, failing"];
      if (up.circuit === "closed" && up.state === "unknown") circuit = ["off", "not asked"];
      sign(tr.children[1].firstElementChild, ...circuit);
      cells(tr, [up.id, null, count(up.requests), count(up.errors), bytes(up.bytes)]);
      tr.firstElementChild.title = up.kind === "s3" ? "S3" : "HTTP";
    });
  };
  const DISKS = { online: ["ok", "in use"], full: ["warn", "read only: full"], opening: ["off", "opening"], offline: ["bad", "offline"] };
  const disks = (tick) => {
    $("no-disks").hidden = tick.disks.length > 0;
    list($("disks"), tick.disks, level, (element, disk) => {
      const troubles = [[disk.errors, "failed calls"], [disk.overdue, "slow reads"], [disk.lost, "lost"],
        [disk.checksum_failures, "damaged"]].filter(([n]) => n > 0).map(([n, what]) => `${count(n)} ${what}`);
      const note = disk.state === "offline" && disk.what ? disk.what : troubles.join(", ");
      fillLevel(element, disk.path, disk.bytes ?? 0, disk.limit, note, DISKS[disk.state] ?? ["off", disk.state]);
    });
  };
  const METRICS = {
    edge_shed_requests_total: "shed", edge_token_rejects_total: "token",
    edge_request_errors_total: "failed by the", edge_http3_malformed_total: "malformed HTTP/3",
    edge_origin_withheld_total: "not sent to", edge_http_malformed_total: "malformed HTTP",
    edge_http2_floods_total: "HTTP/2 flood:", edge_http3_excess_total: "HTTP/3 excess:",
    edge_connections_refused_total: "connection:",
  };
  const before = new Map();
  const refusals = (tick) => {
    $("no-refusals").hidden = tick.refusals.length > 0;
    $("refusals").parentElement.hidden = tick.refusals.length === 0;
    const seen = new Set(), fresh = !tick.followed;
    list($("refusals"), tick.refusals, row(["", "n", "n"]), (tr, refusal) => {
      const key = `${refusal.metric} ${refusal.reason}`;
      seen.add(key);
      // A count that came up while we looked began at nothing.
      const minute = before.get(key) ?? (fresh ? [] : [0]);
      before.set(key, minute);
      minute.push(refusal.count);
      if (minute.length > 61) minute.splice(0, minute.length - 61);
      const lately = refusal.count - minute[0];
      const what = `${METRICS[refusal.metric] ?? refusal.metric} ${refusal.reason.replaceAll("_", " ")}`;
      cells(tr, [what, lately ? `+${count(lately)}` : "–", count(refusal.count)]);
    });
    for (const key of before.keys()) if (!seen.has(key)) before.delete(key);
  };
  const certificates = ({ status, time_ms }) => {
    $("no-certificates").hidden = status.certificates.length > 0;
    $("certificates").parentElement.hidden = status.certificates.length === 0;
    const build = () => {
      const tr = row(["", "", "n"])();
      tr.children[2].append(make("span", "state"));
      return tr;
    };
    list($("certificates"), status.certificates, build, (tr, served) => {
      const [first, ...more] = served.names;
      const end = served.not_after_unix_s, left = end === null ? null : end - time_ms / 1000;
      cells(tr, [(first ?? "no name") + (more.length ? ` and ${more.length} more` : ""), end === null ? "–" : day(end), null]);
      tr.children[0].title = served.names.join("\n");
      const kind = left === null ? "off" : left < 7 * 86400 ? "bad" : left < 14 * 86400 ? "warn" : "ok";
      sign(tr.children[2].firstElementChild, kind, left === null ? "not known" : left < 0 ? "expired" : span(left));
    });
  };
  const show = (tick) => {
    for (const part of [head, figures, protocols, tiers, upstreams, disks, refusals, certificates]) part(tick);
  };

  // ---- The line to the server ---------------------------------------------------------------
  let source = null, heard = 0, shown = null, ended = false, again = 0;
  const link = (state) => {
    document.body.dataset.link = state;
    if (state === "live") {
      $("stale").hidden = true;
      put($("link"), "live");
      return;
    }
    const old = heard ? span((Date.now() - heard) / 1000) : "";
    put($("link"), heard ? `${old} old` : "waiting");
    $("stale").hidden = false;
    const why = ended ? "The server has stopped." : "The server does not answer.";
    put($("stale"), heard && shown !== null
      ? `${why} These are the figures of ${clock(shown)}, ${old} old. Trying again.`
      : `${why} Trying again.`);
  };
  const beat = (tick) => {
    heard = Date.now();
    shown = tick.time_ms;
    ended = false;
    link("live");
    const pulse = document.querySelector(".pulse");
    pulse.classList.remove("beat");
    requestAnimationFrame(() => pulse.classList.add("beat"));
  };
  const begin = (tick) => {
    ({ steps, step_s: stepSeconds, step: lastStep } = tick);
    points = tick.history.slice(-steps);
    if (!tiles.size) {
      tick.figures.forEach((figure, index) => {
        const [article, t] = tile(figure, index);
        tiles.set(figure.id, t);
        $("figures").append(article);
      });
    }
    before.clear();
    show(tick);
    tiles.forEach(plot);
    beat(tick);
  };
  const next = (tick) => {
    if (tick.step !== lastStep && tick.point) {
      // Steps that were missed stay empty.
      for (let gap = Math.min(tick.step - lastStep, steps) - 1; gap > 0; gap -= 1) points.push(tick.point.map(() => null));
      points.push(tick.point);
      if (points.length > steps) points.splice(0, points.length - steps);
      lastStep = tick.step;
      tiles.forEach(plot);
    }
    tick.followed = true;
    show(tick);
    beat(tick);
  };
  const connect = () => {
    again = 0;
    source?.close();
    source = new EventSource("events");
    source.addEventListener("begin", (event) => begin(JSON.parse(event.data)));
    source.addEventListener("tick", (event) => tiles.size && next(JSON.parse(event.data)));
    source.addEventListener("end", () => { ended = true; source.close(); });
  };
  /** Once a second: are the figures old, and is the line still tried? A browser gives up where a
      server answers with an error, so it is tried from here. */
  setInterval(() => {
    if (heard && Date.now() - heard < OLD_MS && !ended) return;
    link("stale");
    again += 1000;
    if (source.readyState === EventSource.CLOSED && again >= AGAIN_MS) connect();
    // A line that is open and says nothing, through a proxy that died, is begun anew as well.
    else if (again >= 10 * AGAIN_MS) connect();
  }, 1000);
  connect();
})();
