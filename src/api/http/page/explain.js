// One name: who answers for it and why, who owns it, what happened to it and what will, its zone file and its records.

import { Refused, get, path } from "./api.js";
import { $, el, rows } from "./dom.js";
import { block, count, moment, number } from "./words.js";

const SIDES = { bns: "the chain", legacy: "an upstream", local: "bnsd itself" };
const STATES = {
  registered: "registered",
  revoked: "revoked by its owner",
  expired: "expired, nobody renewed it in time",
  unregistered: "never registered",
};
const SOURCES = {
  archive: "in the archive, its hash is right",
  missing: "missing: put a file with this hash into a watched folder",
  tampered: "the stored file does not have this hash and is not used: supply it again",
};
const ENDS = [
  ["grace_start", "grace start", "from here on the owner can only renew it"],
  ["last_resolves", "last resolves", "the last block in which it is answered"],
  ["renewal_deadline", "renewal deadline", "the last block in which the owner can renew it"],
  ["free_from", "free from", "anybody can register it"],
];

/** What is shown; an answer to an earlier question that comes late is dropped. */
let shown = 0;

/** Explains what somebody typed: a name, and a record type behind it if they like. */
export async function explain(text) {
  const turn = ++shown;
  const box = $("explained");
  const [name, type = "A"] = text.trim().split(/\s+/);
  box.hidden = !name;
  document.title = name ? `${name} – bnsd` : "bnsd";
  if (!name) return box.replaceChildren();
  box.setAttribute("aria-busy", "true");
  if (box.dataset.name !== name) box.replaceChildren(heading(name, "asking …"));
  const parts = await answer(name, type.toUpperCase()).catch((error) => trouble(name, error));
  if (turn !== shown) return;
  box.dataset.name = name;
  box.removeAttribute("aria-busy");
  box.replaceChildren(...parts);
}

async function answer(name, type) {
  const reply = await get(`${path("explain", name)}?type=${encodeURIComponent(type)}`);
  const isOnChain = reply.decision.side === "bns" && reply.zonefile_hash;
  const [text, all] = await Promise.all([
    hasZonefile(reply) ? zonefile(reply.registered_name) : null,
    isOnChain ? get(`${path("lookup", name)}?type=ANY`).catch(() => null) : null,
  ]);
  return [
    heading(reply.name, ...state(reply)),
    el("p", { class: "because" }, `${hasFailed(reply) ? "Left to" : "Answered by"} ${SIDES[reply.decision.side]}, because ${reply.decision.reason}.`),
    el("div", { class: "columns" },
      el("div", {}, facts(reply), timeline(reply)),
      el("div", {}, zonefileText(reply, text), records(reply.answer, all))),
  ];
}

/** Nobody answered, as far as anybody was asked. */
const hasFailed = (reply) => reply.decision.side === "legacy" && reply.answer?.rcode === "SERVFAIL";

function state(reply) {
  if (reply.status) return [STATES[reply.status], reply.status];
  return hasFailed(reply) ? ["no answer", "failed"] : [`answered by ${SIDES[reply.decision.side]}`];
}

function heading(name, state, kind = "") {
  const close = el("a", { class: "close", href: "#", "aria-label": "Close" }, "×");
  return el("header", {}, el("h1", { id: "explained-name" }, name), el("span", { class: `state ${kind}` }, state), close);
}

function trouble(name, error) {
  const text = error instanceof Refused ? sentence(error.message) : "bnsd did not answer: is it still running?";
  return [heading(name, "no answer", "failed"), el("p", { class: "notice" }, text)];
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

function facts(reply) {
  const { decision } = reply;
  return el("dl", {}, ...rows([
    ["registered name", reply.registered_name === reply.name ? null : reply.registered_name],
    ["owner", reply.owner, "hash"],
    ["last operation", reply.operation],
    ["at height", reply.height && block(reply.height, reply.time)],
    ["transaction", reply.txid, "hash"],
    ["vtxindex", reply.vtxindex === null ? null : String(reply.vtxindex)],
    ["confirmations", reply.confirmations === null ? null : number(reply.confirmations)],
    ["consensus hash", decision.side === "bns" ? reply.consensus_hash : null, "hash"],
    ["final", reply.final && reply.status ? "the network has ended: the name stands so for ever" : null],
    ["namespace mode", decision.mode],
    ["protected", decision.protected ? "yes, this label is never shadowed" : null],
    ["alias", decision.alias ? "yes, asked for under bns.alt" : null],
  ]));
}

/** What happened and what is to come, in one order, with the present between. */
function timeline(reply) {
  const past = reply.history.map((event, place) => ({ height: event.height, time: event.time, title: event.operation, is: "past", detail: detail(event, reply.history[place - 1]) }));
  const first = reply.estimated_from ?? Infinity;
  const ends = ENDS.filter(([name]) => reply[name] !== null && reply[name] !== undefined)
    .map(([name, title, meaning]) => ({ height: reply[name], time: reply[`${name}_estimated`], title, is: reply[name] < first ? "past" : "future", detail: [el("span", {}, meaning)] }));
  const events = [...past, ...ends];
  if (events.length === 0) return "";
  if (Number.isFinite(first)) events.push({ height: first - 0.5, title: "now", is: "now", detail: [] });
  events.sort((a, b) => a.height - b.height);
  return el("section", {}, el("h2", {}, "Timeline"), el("ol", { class: "timeline" }, events.map(event)));
}

function event({ height, time, title, is, detail }) {
  if (is === "now") return el("li", { class: "now" }, el("b", {}, title), el("span", { class: "when" }, `block ${number(Math.floor(height))}`));
  return el("li", { class: is }, el("b", {}, title), el("span", { class: "when" }, block(height, time, is === "future")), detail);
}

/** What an operation changed. */
function detail(event, before) {
  const changes = [];
  if (event.owner && event.owner !== before?.owner) changes.push(["owner", event.owner]);
  if (event.zonefile_hash && event.zonefile_hash !== before?.zonefile_hash) changes.push(["zone file", event.zonefile_hash]);
  changes.push(["transaction", event.txid]);
  return el("dl", { class: "changes" }, ...rows(changes.map(([label, text]) => [label, text, "hash"])));
}

const hasZonefile = (reply) => ["archive", "folder"].includes(reply.zonefile_source?.kind);

/** The text; `null` if it went away meanwhile. */
async function zonefile(name) {
  const reply = await get(path("names", name, "zonefile")).catch(() => null);
  return reply?.zonefile ?? null;
}

function zonefileText(reply, text) {
  if (!reply.zonefile_hash) return "";
  const source = reply.zonefile_source;
  const where = source?.kind === "folder" ? `from ${source.path}, its hash is right` : SOURCES[source?.kind];
  const left = reply.zonefile_problems.map((problem) => el("li", {}, problem));
  return el("section", {}, el("h2", {}, "Zone file"),
    el("dl", {}, ...rows([["zone file hash", reply.zonefile_hash, "hash"], ["zone file", where]])),
    text === null ? "" : el("pre", { tabindex: "0", "aria-label": "Text of the zone file" }, text),
    left.length ? el("details", {}, el("summary", {}, `${count(left.length, "record")} left out`), el("ul", { class: "list" }, left)) : "");
}

/** All records of a name of the chain; of another one those of the type that was asked for. */
function records(asked, all) {
  const answer = all?.records.length ? all : asked;
  if (!answer) return "";
  const lines = answer.records.map((record) => el("tr", { role: "row" }, ...[record.owner, String(record.ttl), record.type].map((text) => el("td", { role: "cell" }, text)), el("td", { role: "cell", class: "data" }, record.data)));
  const head = el("tr", { role: "row" }, ...["name", "TTL", "type", "data"].map((text) => el("th", { role: "columnheader", scope: "col" }, text)));
  const title = answer.type === "ANY" ? "Records" : `Answer for type ${answer.type}`;
  return el("section", {}, el("h2", {}, title),
    lines.length ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, el("table", { role: "table" }, el("thead", { role: "rowgroup" }, head), el("tbody", { role: "rowgroup" }, lines))) : "",
    el("p", { class: "hint" }, summary(answer)));
}

function summary(answer) {
  const found = answer.records.length;
  let text = `no answer for ${answer.name} ${answer.type}`;
  if (answer.rcode === "NXDOMAIN") text = `there is no name ${answer.name}`;
  else if (answer.rcode === "NOERROR" && found) text = count(found, "record");
  else if (answer.rcode === "NOERROR") text = `${answer.name} has no record of type ${answer.type}${answer.types?.length ? `, it has ${answer.types.join(", ")}` : ""}`;
  if (answer.rcode === "SERVFAIL" && answer.height === null) return `SERVFAIL: ${text}${why(answer)}`;
  const side = answer.height !== null ? `from the chain at height ${block(answer.height, answer.time)}` : `from ${answer.authoritative ? SIDES.local : SIDES.legacy}`;
  return `${answer.rcode}: ${text}, ${side}${why(answer)}`;
}

const why = ({ ede }) => (ede ? `; extended error ${ede.code}${ede.text ? `: ${ede.text}` : ""}` : "");
