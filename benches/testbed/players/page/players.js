// The stock players behind one face. Each adapter loads its library, plays a manifest on a
// <video>, and says which rung plays. Nothing is tuned: this is what viewers run.

export const PLAYERS = {
  "hls.js": { label: "hls.js", format: "hls", script: "lib/hls.js", play: playHlsJs },
  "shaka-hls": { label: "Shaka · HLS", format: "hls", script: "lib/shaka.js", play: (v, u, on) => playShaka(v, u, on) },
  "dash.js": { label: "dash.js", format: "dash", script: "lib/dash.js", play: playDashJs },
  "shaka-dash": { label: "Shaka · DASH", format: "dash", script: "lib/shaka.js", play: (v, u, on) => playShaka(v, u, on) },
};

/**
 * Starts `name` on `video` and returns { version, rung(), stop() }.
 * `on.error(text)` is called for errors that end playback, `on.note(text)` for the others.
 */
export async function start(name, video, url, on) {
  const player = PLAYERS[name];
  await loadScript(player.script);
  return player.play(video, url, on);
}

const loaded = new Map();
function loadScript(src) {
  if (!loaded.has(src)) {
    loaded.set(src, new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      tag.src = src;
      tag.onload = resolve;
      tag.onerror = () => reject(new Error(`${src} did not load`));
      document.head.append(tag);
    }));
  }
  return loaded.get(src);
}

const rungOf = (width, height, bitsPerSecond) =>
  ({ width: width ?? 0, height: height ?? 0, bitsPerSecond: bitsPerSecond ?? 0 });

function playHlsJs(video, url, on) {
  const { Hls } = window;
  if (!Hls.isSupported()) {
    // iPhones before Managed Media Source play HLS by themselves and show us less.
    video.src = url;
    on.note("This browser plays HLS itself; segments are not seen by this page.");
    return { version: "native", rung: () => null, stop: () => video.removeAttribute("src") };
  }
  const hls = new Hls();
  hls.on(Hls.Events.ERROR, (_, data) => {
    const text = `${data.type}: ${data.details}${data.response?.code ? ` (${data.response.code})` : ""}`;
    (data.fatal ? on.error : on.note)(text);
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  return {
    version: Hls.version,
    rung: () => {
      const level = hls.levels[hls.currentLevel];
      return level ? rungOf(level.width, level.height, level.bitrate) : null;
    },
    stop: () => hls.destroy(),
  };
}

function playDashJs(video, url, on) {
  const { dashjs } = window;
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({ debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE } });
  player.on(dashjs.MediaPlayer.events.ERROR, (event) => on.error(`${event.error?.code ?? ""} ${event.error?.message ?? event.error}`));
  player.initialize(video, url, false);
  return {
    version: player.getVersion(),
    rung: () => {
      const now = player.getCurrentRepresentationForType?.("video");
      return now ? rungOf(now.width, now.height, now.bandwidth ?? now.bitrateInKbit * 1000) : null;
    },
    stop: () => player.destroy(),
  };
}

async function playShaka(video, url, on) {
  const { shaka } = window;
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  player.addEventListener("error", ({ detail }) => {
    const critical = detail.severity === shaka.util.Error.Severity.CRITICAL;
    (critical ? on.error : on.note)(`shaka ${detail.category}.${detail.code} ${detail.data?.[0] ?? ""}`);
  });
  await player.attach(video);
  await player.load(url);
  return {
    version: shaka.Player.version,
    rung: () => {
      const track = player.getVariantTracks().find((t) => t.active);
      return track ? rungOf(track.width, track.height, track.bandwidth) : null;
    },
    stop: () => player.destroy(),
  };
}
