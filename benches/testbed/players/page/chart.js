// Two small charts: a bar for each segment, as high as it took long and coloured by what the
// cache did, and the player's buffer over the last minute.

const SPAN_MS = 60_000;
const MOST_BARS = 120;
const EDGE = { left: 46, right: 8, top: 10, bottom: 20 };

/** Draws until the page goes; `segments` and `buffers` grow outside. */
export function drawCharts(bars, segments, line, buffers) {
  const style = () => {
    const css = getComputedStyle(document.documentElement);
    return Object.fromEntries(["hit", "miss", "other", "buffer", "line", "dim"].map((name) => [name, css.getPropertyValue(`--${name}`).trim()]));
  };
  let colours = style();
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => { colours = style(); });
  const frame = () => {
    drawBars(bars, segments.slice(-MOST_BARS), colours);
    drawLine(line, buffers, colours);
    setTimeout(() => requestAnimationFrame(frame), 200);
  };
  frame();
}

function drawBars(canvas, segments, colours) {
  const most = nice(Math.max(20, ...segments.map((s) => s.wholeMs)));
  const plot = begin(canvas, most, (value) => `${value} ms`, colours);
  const step = Math.min(26, plot.width / Math.max(segments.length, 24));
  segments.forEach((segment, at) => {
    plot.to.fillStyle = colours[{ HIT: "hit", MISS: "miss" }[segment.cache] ?? "other"];
    const high = Math.max(2, (segment.wholeMs / most) * plot.height);
    plot.to.beginPath();
    plot.to.roundRect(EDGE.left + at * step + step * 0.12, plot.y(0) - high, step * 0.76, high, [3, 3, 0, 0]);
    plot.to.fill();
  });
  plot.to.fillStyle = colours.dim;
  plot.to.textAlign = "left";
  plot.to.fillText("in the order of arrival", EDGE.left, plot.y(0) + 15);
}

function drawLine(canvas, buffers, colours) {
  const last = buffers.at(-1)?.at ?? performance.now();
  const from = Math.max(buffers[0]?.at ?? last, last - SPAN_MS);
  const seen = buffers.filter((b) => b.at >= from);
  const most = nice(Math.max(4, ...seen.map((b) => b.seconds)));
  const plot = begin(canvas, most, (value) => `${value} s`, colours);
  const x = (at) => EDGE.left + ((at - from) / SPAN_MS) * plot.width;
  const { to } = plot;
  to.textAlign = "center";
  for (let s = 0; s <= 60; s += 20) to.fillText(`${s} s`, Math.min(x(from + s * 1000), EDGE.left + plot.width - 12), plot.y(0) + 15);
  if (seen.length < 2) return;
  to.beginPath();
  for (const sample of seen) to.lineTo(x(sample.at), plot.y(sample.seconds / most));
  to.strokeStyle = colours.buffer;
  to.lineWidth = 2;
  to.stroke();
  to.lineTo(x(seen.at(-1).at), plot.y(0));
  to.lineTo(x(seen[0].at), plot.y(0));
  to.globalAlpha = 0.16;
  to.fillStyle = colours.buffer;
  to.fill();
  to.globalAlpha = 1;
}

/** Clears the canvas and draws the scale: 0, half and all of `most`. */
function begin(canvas, most, label, colours) {
  const scale = devicePixelRatio || 1;
  const wide = canvas.clientWidth, high = canvas.clientHeight;
  if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(high * scale)) {
    canvas.width = Math.round(wide * scale);
    canvas.height = Math.round(high * scale);
  }
  const to = canvas.getContext("2d");
  to.setTransform(scale, 0, 0, scale, 0, 0);
  to.clearRect(0, 0, wide, high);
  to.font = "11px system-ui, sans-serif";
  to.lineWidth = 1;
  to.strokeStyle = colours.line;
  to.fillStyle = colours.dim;
  to.textAlign = "right";
  const height = high - EDGE.top - EDGE.bottom, width = wide - EDGE.left - EDGE.right;
  const y = (share) => high - EDGE.bottom - share * height;
  for (const share of [0, 0.5, 1]) {
    const at = Math.round(y(share)) + 0.5;
    to.beginPath();
    to.moveTo(EDGE.left, at);
    to.lineTo(EDGE.left + width, at);
    to.stroke();
    to.fillText(share === 0 ? "0" : label(+(most * share).toFixed(1)), EDGE.left - 6, at + 4);
  }
  return { to, y, width, height };
}

/** The next of 1, 2, 5, 10, 20, … */
function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= value);
}
