// The status page: asks the daemon once a second while somebody looks, and explains names.

import { get } from "./api.js";
import { Charts } from "./charts.js";
import { $ } from "./dom.js";
import { explain } from "./explain.js";
import { showCaches, showFigures, showStatus } from "./overview.js";
import { Samples } from "./samples.js";
import { duration } from "./words.js";

const REFRESH = 1000;
/** How long an answer may take before the daemon counts as gone. */
const PATIENCE = 5000;
const WINDOWS = { minutes: ["second", 600], hour: ["second", 3600], day: ["minute", 86_400] };

const samples = { second: new Samples("second"), minute: new Samples("minute") };
const charts = new Charts();
let version = null;
let uptime = 0;
let silentSince = null;
let timer = null;

async function refresh() {
  const [step, seconds] = WINDOWS[document.querySelector("[name=window]:checked").value];
  const status = await get("/v1/status", PATIENCE);
  if (version !== null && status.version !== version) return location.reload(); // this page is of the version before
  version = status.version;
  if (status.uptime_seconds < uptime) Object.values(samples).forEach((some) => some.forget());
  uptime = status.uptime_seconds;
  await Promise.all([...new Set(["second", step])].map((name) => samples[name].refresh()));
  const now = samples.second.now();
  showStatus(status);
  showFigures(status, now);
  showCaches(now);
  charts.show(seconds, samples[step].window(seconds));
}

/** Refreshes, says when nobody answers, and goes on while the page is seen. */
async function turn() {
  clearTimeout(timer);
  try {
    await refresh();
    silentSince = null;
  } catch (error) {
    silentSince ??= Date.now();
    console.debug(error);
  }
  showConnection();
  if (document.visibilityState === "visible") timer = setTimeout(turn, REFRESH);
}

function showConnection() {
  const isSilent = silentSince !== null;
  const seconds = isSilent ? (Date.now() - silentSince) / 1000 : 0;
  document.body.classList.toggle("silent", isSilent);
  $("connection").textContent = isSilent ? `bnsd does not answer${seconds < 2 ? "" : `, for ${duration(seconds)}`}; what is shown is old. Trying again …` : "";
}

/** The name in the address: `/#werner.id`, or `/?name=werner.id` from a form or a keyword of the browser. */
function named() {
  const name = new URLSearchParams(location.search).get("name");
  if (name !== null) history.replaceState(null, "", name ? `/#${encodeURIComponent(name)}` : "/");
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

async function showNamed() {
  const text = named();
  $("name").value = text;
  await explain(text);
  if (text) $("explained").focus({ preventScroll: true });
}

$("search").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = $("name").value.trim();
  if (text === named()) showNamed();
  else location.hash = encodeURIComponent(text);
});
$("windows").addEventListener("change", turn);
addEventListener("hashchange", showNamed);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && turn());
document.addEventListener("keydown", (key) => {
  if (key.key === "/" && document.activeElement !== $("name") && !key.ctrlKey && !key.metaKey) {
    key.preventDefault();
    $("name").select();
  } else if (key.key === "Escape" && location.hash) {
    location.hash = "";
  }
});
showNamed();
turn();
