// How the daemon is: the facts of `bnsd status`, in its words.

import { $, el, fill, rows } from "./dom.js";
import { block, bytes, count, duration, latency, number, rate, rfc3339, syncText } from "./words.js";

export function showStatus(status) {
  showNotices(status.warnings);
  showSync(status);
  const upstreams = status.upstreams;
  fill($("upstreams"), upstreams, () => (upstreams.length ? upstreams.map(upstream) : [el("li", {}, "none")]));
  entries($("chain"), chain(status));
  entries($("service"), service(status));
  showZonefiles(status.zonefiles);
  $("version").textContent = `bnsd ${status.version}, up ${duration(status.uptime_seconds)}`;
}

/** The figures that people look for first. */
export function showFigures(status, now) {
  const height = status.height === null ? "none yet" : number(status.height);
  const best = status.best_height;
  const behind = best !== null && status.height !== null && best > status.height;
  figures([
    ["height", height, behind ? `of ${number(best)}` : status.is_final || status.final ? "final" : age(status)],
    ["names", number(status.names), count(status.namespaces, "namespace")],
    ["questions a second", rate(now.rate), `${number(total(status))} since the start`],
    ["latency", latency(now.median), now.p99 === null ? "half of the questions" : `99 of 100 within ${latency(now.p99)}`],
  ]);
}

function figures(list) {
  const box = $("figures");
  if (box.children.length === 0) {
    box.append(...list.map(() => el("div", {}, el("dt"), el("dd", { class: "figure" }), el("dd", { class: "hint" }))));
  }
  list.forEach((texts, place) => {
    [...box.children[place].children].forEach((element, part) => {
      if (element.textContent !== texts[part]) element.textContent = texts[part];
    });
  });
}

const age = (status) => (status.block_time === null ? "" : rfc3339(status.block_time).replace("T", " ").slice(0, 16) + " UTC");

const total = (status) => Object.values(status.queries).reduce((sum, queries) => sum + queries, 0);

function showNotices(warnings) {
  fill($("notices"), warnings, () => warnings.map((text) => el("p", { class: "notice" }, el("b", {}, "warning: "), text)));
}

function showSync(status) {
  const box = $("sync");
  box.hidden = status.sync === null;
  if (!status.sync) return;
  const done = status.height ?? 0;
  $("sync-bar").value = done / Math.max(done + status.sync.blocks_left, 1);
  $("sync-text").textContent = syncText(status.sync);
}

function chain(status) {
  const time = status.block_time === null ? null : rfc3339(status.block_time);
  return [
    ["chain", `${status.network}, ${status.source}`],
    ["network", status.network_meaning],
    ["height", status.height === null ? "none yet" : block(status.height, time) + (status.final ? ", final" : "")],
    ["sync", status.sync && syncText(status.sync)],
    ["behind", status.lag_seconds ? duration(status.lag_seconds) : null],
    ["consensus hash", status.consensus_hash, "hash"],
    ["names", number(status.names)],
    ["names in memory", `${number(status.names_in_memory.names)}, ${bytes(status.names_in_memory.bytes)}`],
    ["namespaces", number(status.namespaces)],
    ["preorders", number(status.preorders)],
    ["answered from the chain", status.served.join(", ")],
  ];
}

function service(status) {
  const ends = Object.entries(status.queries).filter(([, queries]) => queries > 0);
  return [
    ["listening on", status.listeners.join(", ") || "none"],
    ["TLS on", status.tls_listeners.join(", ")],
    ["HTTPS on", status.https_listeners.join(", ")],
    ["gateway on", status.gateway],
    ["questions", ends.map(([outcome, queries]) => `${number(queries)} ${outcome}`).join(", ") || "none"],
    ["memory", status.memory_bytes && bytes(status.memory_bytes)],
  ];
}

/** The caches are figures of the last sample, so they stand beside the status. */
export function showCaches(now) {
  entries($("caches"), [
    ["replies", `${number(now.kept_replies)}, ${bytes(now.kept_reply_bytes)}`],
    ["upstreams' responses", `${number(now.cached_responses)}, ${bytes(now.cached_response_bytes)}`],
  ]);
}

/** Rows by label: those that are there keep their place, so that nothing jumps while figures change. */
function entries(list, wanted) {
  const there = new Map([...list.children].map((row) => [row.firstChild.textContent, row]));
  for (const row of rows(wanted)) {
    const label = row.firstChild.textContent;
    const old = there.get(label);
    there.delete(label);
    if (!old) list.append(row);
    else if (old.lastChild.textContent !== row.lastChild.textContent) old.lastChild.replaceWith(row.lastChild);
  }
  for (const row of there.values()) row.remove();
}

/** `9.9.9.9:53, 12 ms, failed 2 times in a row`: address, and how it does. */
function upstream(text) {
  const [address, ...rest] = text.split(", ");
  const health = rest.join(", ");
  const isIll = /failed|leads back/.test(health);
  const state = isIll ? "ill" : health ? "well" : "unknown";
  return el("li", { class: state }, el("span", { class: "address" }, address), el("span", { class: "health" }, health || "not asked yet"));
}

function showZonefiles(zonefiles) {
  entries($("zonefiles"), [
    ["present", number(zonefiles.present)],
    ["missing", number(zonefiles.missing_count)],
    ["waiting", number(zonefiles.waiting_count)],
  ]);
  const { missing, waiting } = zonefiles;
  fill($("absent"), [missing, waiting], () => [
    more("missing", zonefiles.missing_count, missing.map((row) => [el("a", { href: `#${encodeURIComponent(row.name)}` }, row.name), row.hash])),
    more("waiting", zonefiles.waiting_count, waiting.map((row) => [row.file, row.hash])),
  ]);
}

function more(what, total, list) {
  if (list.length === 0) return "";
  const left = total - list.length;
  const items = list.map(([first, hash]) => el("li", {}, el("span", {}, first), el("span", { class: "hash" }, hash)));
  return el("details", {}, el("summary", {}, `${count(total, "zone file")} ${what}`), el("ul", { class: "list" }, items, left > 0 ? el("li", {}, `and ${number(left)} more`) : ""));
}
