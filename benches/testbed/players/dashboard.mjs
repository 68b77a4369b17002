// Opens the page of an edge's management address in headless Chromium and looks whether it is
// what it should be: what must be there is, values change, nobody else is asked, nothing of the
// page grows, and a server that is gone is told of, and found again.
//
// Standard input: {"chromium", "target": "ADDRESS:PORT", "name", "shots"}. Prints a line for each
// finding, and last `failed N`.

import { mkdir } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const plan = JSON.parse(await text(process.stdin));
const FIGURES = ["traffic", "hit_ratio", "ttfb_p99_s", "error_ratio", "origin_load", "disks", "memory", "saturation"];
const PANELS = ["Clients", "Disks", "Cache", "Certificates", "Upstreams", "Refused"];
let failed = 0;
const check = (what, holds, seen = "") => {
  if (!holds) failed += 1;
  console.log(`${holds ? "pass" : "FAIL"} ${what}${holds || seen === "" ? "" : `: ${seen}`}`);
};

/** A line between browser and edge that can be cut and mended. */
const line = await new Promise((ready) => {
  const [host, port] = [plan.target.slice(0, plan.target.lastIndexOf(":")), Number(plan.target.split(":").at(-1))];
  const open = new Set();
  const state = { cut: false };
  const server = createServer((near) => {
    if (state.cut) return near.destroy();
    const far = connect(port, host.replace(/^\[|\]$/g, ""));
    for (const [socket, other] of [[near, far], [far, near]]) {
      open.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => { open.delete(socket); other.destroy(); });
    }
    near.pipe(far); far.pipe(near);
  });
  server.listen(0, "127.0.0.1", () => ready({
    url: `http://127.0.0.1:${server.address().port}`,
    cut: () => { state.cut = true; for (const socket of open) socket.destroy(); },
    mend: () => { state.cut = false; },
    end: () => { for (const socket of open) socket.destroy(); server.close(); },
  }));
});

const browser = await chromium.launch({
  executablePath: plan.chromium, headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
await mkdir(plan.shots, { recursive: true });

const visit = async (options, look) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [], asked = [];
  page.on("pageerror", (error) => problems.push(String(error.message)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("request", (request) => asked.push(request.url()));
  try {
    await page.goto(line.url, { timeout: 20_000 });
    await page.waitForFunction(() => document.body.dataset.link === "live", null, { timeout: 20_000 });
    await look(page, { problems, asked });
  } catch (error) {
    check("the page can be looked at", false, String(error?.message ?? error).split("\n")[0]);
  } finally {
    await context.close();
  }
};
const settles = (page, test, arg, ms) =>
  page.waitForFunction(test, arg, { timeout: ms, polling: 100 }).then(() => true, () => false);

await visit({ viewport: { width: 1920, height: 1080 }, colorScheme: "light" }, async (page, seen) => {
  const shown = await page.evaluate(() => ({
    name: document.getElementById("node").textContent,
    verdict: document.getElementById("verdict-word").textContent,
    figures: [...document.querySelectorAll("[data-figure]")].map((figure) => ({
      id: figure.dataset.figure,
      value: figure.querySelector(".value").textContent,
      curve: Boolean(figure.querySelector("svg path.line")),
      says: figure.querySelector("svg").getAttribute("aria-label"),
    })),
    panels: [...document.querySelectorAll(".panel h2")].map((title) => title.textContent),
    protocols: document.querySelectorAll("#protocols tr").length,
    signs: [...document.querySelectorAll(".state")].filter((state) => state.children.length)
      .every((state) => state.querySelector(".mark") && state.textContent.trim()),
    wide: document.documentElement.scrollWidth <= innerWidth,
  }));
  check("it names the node", shown.name === plan.name, shown.name);
  check("it has a verdict", ["OK", "Degraded", "Down"].includes(shown.verdict), shown.verdict);
  check("the eight figures, in order", String(shown.figures.map((f) => f.id)) === String(FIGURES), shown.figures.map((f) => f.id));
  check("each has a value and a curve that is put in words",
    shown.figures.every((f) => f.value && f.curve && f.says), JSON.stringify(shown.figures));
  check("memory is known", /^\d/.test(shown.figures.find((f) => f.id === "memory")?.value ?? ""));
  check("the panels", PANELS.every((panel) => shown.panels.includes(panel)), shown.panels);
  check("a row for each protocol", shown.protocols === 3, shown.protocols);
  check("no state is told by colour alone", shown.signs);
  check("nothing is cut off at 1080p", shown.wide);

  const values = () => [...document.querySelectorAll(".value, #uptime, #moment")].map((e) => e.textContent).join();
  const before = [await page.evaluate(values),
    await page.evaluate(() => document.querySelector("[data-figure=memory] path.line").getAttribute("d"))];
  const changed = (was) => [...document.querySelectorAll(".value, #uptime, #moment")].map((e) => e.textContent).join() !== was;
  check("values change between two events", await settles(page, changed, before[0], 5_000));
  check("curves grow",
    await settles(page, (was) => document.querySelector("[data-figure=memory] path.line").getAttribute("d") !== was, before[1], 15_000));
  const count = () => page.evaluate(() => document.querySelectorAll("*").length);
  const elements = await count();
  await page.waitForTimeout(6_000);
  check("it does not grow", Math.abs((await count()) - elements) <= 8, `${elements} elements, then ${await count()}`);
  const foreign = seen.asked.filter((url) => !url.startsWith(`${line.url}/`));
  check("it asks nobody else", foreign.length === 0, foreign);
  check("it asks twice: for itself and its events", seen.asked.length === 2, seen.asked);
  check("no complaints", seen.problems.length === 0, seen.problems);
  await page.screenshot({ path: `${plan.shots}/light.png` });

  line.cut();
  const stale = () => document.body.dataset.link === "stale" && !document.getElementById("stale").hidden
    && /old/.test(document.getElementById("stale").textContent);
  check("a server that is gone is told of, and that figures are old", await settles(page, stale, null, 8_000));
  await page.screenshot({ path: `${plan.shots}/stale.png` });
  line.mend();
  check("it finds the server again by itself",
    await settles(page, () => document.body.dataset.link === "live", null, 15_000));

  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.strange = true";
    document.body.append(script);
  });
  check("a script that is not the page's is not run", (await page.evaluate(() => window.strange)) === undefined);
});

await visit({ viewport: { width: 1920, height: 1080 }, colorScheme: "dark" }, async (page, seen) => {
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const [red] = dark.match(/\d+/g).map(Number);
  check("dark is dark", red < 60, dark);
  const full = await page.evaluate(() => document.querySelector("[data-figure=memory] svg").getAttribute("aria-label"));
  check("a page that was just opened has the last minutes", / from /.test(full), full);
  check("no complaints in the dark", seen.problems.length === 0, seen.problems);
  await page.screenshot({ path: `${plan.shots}/dark.png` });
});

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, reducedMotion: "reduce" };
await visit(phone, async (page, seen) => {
  const fits = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check("a phone is wide enough", fits[0] <= fits[1], fits);
  const size = await page.evaluate(() => Math.min(...[...document.querySelectorAll("td, dd, .aside, .value")]
    .map((element) => parseFloat(getComputedStyle(element).fontSize))));
  check("letters can be read on a phone", size >= 12, size);
  await page.waitForTimeout(1_200);
  const moves = await page.evaluate(() => document.getAnimations().length);
  check("nothing moves for those who want it so", moves === 0, moves);
  check("no complaints on a phone", seen.problems.length === 0, seen.problems);
  await page.screenshot({ path: `${plan.shots}/phone.png`, fullPage: true });
});

await browser.close();
line.end();
console.log(`failed ${failed}`);
