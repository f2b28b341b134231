// Two charts of what the daemon did: questions a second by who answered, and latency. Drawn by uPlot.

import { $, el } from "./dom.js";
import { GROUPS } from "./samples.js";
import { latency, rate } from "./words.js";

const uPlot = globalThis.uPlot;

const HEIGHT = 220;
const QUERIES = {
  chain: "from the chain",
  cached: "from the cache",
  upstream: "from upstreams",
  refused: "refused",
  failed: "failed",
};
const LATENCIES = { median: "half of the questions", p99: "99 of 100", upstream: "upstream" };

/** A colour of the style sheet. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

class Chart {
  constructor(name, labels, write, options) {
    this.box = $(`${name}-chart`);
    this.labels = labels;
    this.write = write;
    this.options = options;
    this.legend = legend($(`${name}-legend`), labels);
    this.data = null;
    this.values = () => [];
    this.span = 600;
    new ResizeObserver(() => this.resize()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  /** Shows columns; `values` gives the figures of the legend at a place, and `sentence` says the chart in words. */
  show(span, data, values, sentence) {
    this.span = span;
    this.data = data;
    this.values = values;
    this.box.setAttribute("aria-label", sentence);
    if (this.plot) this.plot.setData(data);
    else this.rebuild();
    this.tell(this.plot.cursor.idx);
  }

  rebuild() {
    if (!this.data) return;
    this.plot?.destroy();
    this.plot = new uPlot(this.settings(), this.data, this.box);
  }

  resize() {
    const width = this.box.clientWidth;
    if (this.plot && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  settings() {
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("muted"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
    return {
      width: this.box.clientWidth,
      height: HEIGHT,
      padding: [12, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
      axes: [
        { ...axis, size: 30, grid: { show: false }, space: 74, values: times },
        { ...axis, size: 52, values: (_, splits) => splits.map((value) => (value === null ? "" : this.write(value))), ...this.options.axis },
      ],
      scales: { x: { time: true, range: (_, first, last) => [Math.min(Math.max(first, last - this.span), last - 60), last] }, y: this.options.scale },
      series: [{}, ...this.options.series()],
      bands: this.options.bands ?? [],
    };
  }

  /** The figures at the place of the pointer, without one the newest. */
  tell(place) {
    const texts = this.values(place ?? this.data[0].length - 1);
    this.legend.forEach((box, at) => {
      const text = this.write(texts[at]);
      if (box.textContent !== text) box.textContent = text;
    });
  }
}

function legend(list, labels) {
  return Object.entries(labels).map(([name, label]) => {
    const value = el("b", {}, "–");
    list.append(el("li", { class: name }, el("span", {}, label), value));
    return value;
  });
}

/** Hours and minutes of the axis, in the time of the reader. */
function times(_, splits, __, ___, step) {
  const options = step < 60 ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { hour: "2-digit", minute: "2-digit" };
  const format = new Intl.DateTimeFormat("en-GB", options);
  return splits.map((seconds) => format.format(new Date(seconds * 1000)));
}

const area = (name, fill) => ({ stroke: colour(name), fill: colour(`${name}-fill`) || fill, width: 1.5, points: { show: false } });
const line = (name, options = {}) => ({ stroke: colour(name), width: 1.75, points: { show: false, filter: lonely, size: 4, fill: colour(name) }, ...options });

/** The places without a neighbour, which no line can show. */
function lonely(plot, series) {
  const column = plot.data[series];
  const isThere = (place) => typeof column[place] === "number";
  return [...column.keys()].filter((place) => isThere(place) && !isThere(place - 1) && !isThere(place + 1));
}

/** Stacked: each area reaches down to the one below it. */
const queries = () =>
  new Chart("queries", QUERIES, rate, {
    scale: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] },
    series: () => [...GROUPS].reverse().map((group) => area(group)),
    bands: GROUPS.slice(1).map((_, place) => ({ series: [place + 1, place + 2] })),
  });

const latencies = () =>
  new Chart("latency", LATENCIES, latency, {
    scale: { distr: 3, range: (_, min, max) => bounds(min, max) },
    axis: { splits: (_, __, min, max) => decades(min, max) },
    series: () => [line("median"), line("p99"), line("upstream", { dash: [4, 4] })],
  });

/** Whole powers of ten around what is shown, in microseconds. */
function bounds(min, max) {
  if (!(max > 0)) return [1, 1e5];
  const low = 10 ** Math.floor(Math.log10(Math.max(min, 0.1)));
  const high = 10 ** Math.ceil(Math.log10(max));
  return [low, Math.max(high, low * 100)];
}

function decades(min, max) {
  const from = Math.ceil(Math.log10(min) - 1e-9);
  return Array.from({ length: Math.floor(Math.log10(max) + 1e-9) - from + 1 }, (_, place) => 10 ** (from + place));
}

export class Charts {
  constructor() {
    this.queries = queries();
    this.latency = latencies();
  }

  /** Shows the samples of the last `span` seconds. */
  show(span, window) {
    if (window.times.length === 0) return;
    this.showQueries(span, window);
    this.showLatency(span, window);
  }

  showQueries(span, window) {
    const stack = [];
    for (const group of GROUPS) {
      const below = stack.at(-1);
      stack.push(window[group].map((value, place) => value + (below ? below[place] : 0)));
    }
    const sums = stack.at(-1);
    const sentence = `Questions a second: ${rate(sums.at(-1))} now, at most ${rate(Math.max(...sums))} in the time shown.`;
    this.queries.show(span, [window.times, ...stack.reverse()], (place) => GROUPS.map((group) => window[group][place]), sentence);
  }

  showLatency(span, window) {
    const upstream = window.upstream_ms.map((ms) => (ms === null ? null : Math.max(ms, 0.5) * 1000));
    const columns = [window.median_us, window.p99_us, upstream];
    const last = (column) => column.findLast((us) => us !== null) ?? null;
    const sentence = `Latency: half of the questions took at most ${latency(last(columns[0]))}, 99 of 100 at most ${latency(last(columns[1]))}.`;
    this.latency.show(span, [window.times, ...columns], (place) => columns.map((column) => column[place]), sentence);
  }
}
