// Plays the film page in headless Chromium, once a run, and prints what happened as one
// JSON line each. Judging is left to the caller, who also has the edge's access log.
//
// Standard input: {"chromium", "page", "spki", "user_data", "timeout_s",
//   "runs": [{"id", "player", "protocol": "h2"|"h3", "rate", "hls", "dash", "screenshot"?, "light"?, "phone"?}]}

import { mkdir, rm } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const plan = JSON.parse(await text(process.stdin));
const { host } = new URL(plan.page);

for (const run of plan.runs) {
  const result = { id: run.id, player: run.player, protocol: run.protocol, rate: run.rate };
  try {
    Object.assign(result, await play(run));
  } catch (error) {
    result.error = String(error?.message ?? error).split("\n").slice(0, 3).join(" ");
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** A browser of its own for each run: no cache, no connection, no Alt-Svc memory is shared. */
async function play(run) {
  const data = `${plan.user_data}/${run.id}`;
  await rm(data, { recursive: true, force: true });
  await mkdir(data, { recursive: true });
  const context = await chromium.launchPersistentContext(data, {
    executablePath: plan.chromium,
    headless: true,
    viewport: run.phone ? { width: 390, height: 844 } : { width: 1280, height: 900 },
    colorScheme: run.light ? "light" : "dark",
    args: [
      "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--mute-audio",
      "--autoplay-policy=no-user-gesture-required",
      `--ignore-certificate-errors-spki-list=${plan.spki}`,
      ...(run.protocol === "h3" ? ["--enable-quic", `--origin-to-force-quic-on=${host}`] : ["--disable-quic"]),
    ],
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    const problems = [];
    page.on("pageerror", (error) => problems.push(String(error.message)));
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    const options = new URLSearchParams({ player: run.player, rate: String(run.rate) });
    for (const format of ["hls", "dash"]) if (run[format]) options.set(format, run[format]);
    const startedAt = Date.now();
    await page.goto(`${plan.page}#${options}`, { timeout: 30_000 });
    const done = await page
      .waitForFunction(() => window.weir && (window.weir.ended || window.weir.error), null, {
        timeout: plan.timeout_s * 1000, polling: 100,
      })
      .then(() => true, () => false);
    // The last counters are written by the page's own clock.
    await page.waitForTimeout(400);
    if (run.screenshot) await page.screenshot({ path: run.screenshot, fullPage: Boolean(run.phone) });
    const seen = await page.evaluate(() => {
      const video = document.getElementById("video");
      const { version, ended, error, notes, stalls, frames, dropped, segments } = window.weir ?? {};
      const whole = segments?.filter((s) => !s.aborted && s.cache !== "BROWSER") ?? [];
      const count = (list) => list.reduce((all, key) => ({ ...all, [key]: (all[key] ?? 0) + 1 }), {});
      return {
        version, ended, error, notes: notes?.slice(-3), stalls, frames, dropped,
        current_s: video?.currentTime ?? 0,
        duration_s: Number.isFinite(video?.duration) ? video.duration : 0,
        segments: whole.length,
        aborted: segments?.filter((s) => s.aborted).length ?? 0,
        failed: whole.filter((s) => s.status < 200 || s.status >= 300).length,
        protocols: count(whole.map((s) => s.protocol || "unknown")),
        caches: count(whole.map((s) => s.cache)),
      };
    });
    return { ...seen, timed_out: !done, took_s: (Date.now() - startedAt) / 1000, problems: problems.slice(0, 5) };
  } finally {
    await context.close();
    await rm(data, { recursive: true, force: true });
  }
}
