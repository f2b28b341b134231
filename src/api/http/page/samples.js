// The samples of the daemon (`/v1/series`), kept up to date: as columns, the oldest first.

import { get } from "./api.js";

/** Samples that are kept; the daemon has no more. */
const SECONDS = 3600;
const MINUTES = 1440;

const COLUMNS = ["median_us", "p99_us", "upstream_ms", "cached_responses", "cached_response_bytes", "kept_replies", "kept_reply_bytes", "heights"];
export const GROUPS = ["chain", "cached", "upstream", "refused", "failed"];

export class Samples {
  constructor(step) {
    this.step = step;
    this.forget();
  }

  /** What was there belongs to another run of the daemon. */
  forget() {
    this.last = null;
    this.seconds = 1;
    this.columns = Object.fromEntries(["times", ...GROUPS, ...COLUMNS].map((name) => [name, []]));
  }

  /** Asks for the samples that are new. */
  async refresh() {
    const after = this.last === null ? "" : `&after=${this.last}`;
    const fresh = await get(`/v1/series?step=${this.step}${after}`, 5000);
    const first = fresh.times[0];
    if (this.last === null || fresh.last < this.last || first <= this.columns.times.at(-1)) this.forget();
    if (this.last === null && after !== "") return this.refresh();
    this.last = fresh.last;
    this.seconds = fresh.step_seconds;
    const max = this.step === "second" ? SECONDS : MINUTES;
    for (const [name, kept] of Object.entries(this.columns)) {
      kept.push(...(fresh.queries[name] ?? fresh[name]));
      if (kept.length > max) kept.splice(0, kept.length - max);
    }
  }

  /** The last `seconds` of all columns, with questions as a rate. */
  window(seconds) {
    const start = Math.max(0, this.columns.times.length - Math.ceil(seconds / this.seconds));
    const cut = Object.fromEntries(Object.entries(this.columns).map(([name, column]) => [name, column.slice(start)]));
    for (const group of GROUPS) cut[group] = cut[group].map((queries) => queries / this.seconds);
    return cut;
  }

  /** How it is now: the rate over the last ten seconds, and the last latency that was measured in the last minute. */
  now() {
    const recent = this.window(60);
    const sums = recent.times.map((_, place) => GROUPS.reduce((sum, group) => sum + recent[group][place], 0)).slice(-10);
    const last = (name) => recent[name].at(-1) ?? 0;
    const measured = recent.median_us.findLastIndex((us) => us !== null);
    return {
      rate: sums.length ? sums.reduce((sum, rate) => sum + rate, 0) / sums.length : null,
      median: measured < 0 ? null : recent.median_us[measured],
      p99: measured < 0 ? null : recent.p99_us[measured],
      kept_replies: last("kept_replies"),
      kept_reply_bytes: last("kept_reply_bytes"),
      cached_responses: last("cached_responses"),
      cached_response_bytes: last("cached_response_bytes"),
    };
  }
}
