// Figures, times and sentences as `bnsd status` and `bnsd explain` write them.

export const number = (value) => Number(value).toLocaleString("en-US");

export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

/** The two largest units of a span of time. */
export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes === 0) return `${Math.floor(seconds)} s`;
  if (hours === 0) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `2027-03-01 12:00 UTC`, from a time in the form of RFC 3339. */
export const moment = (time) => `${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;

export const day = (time) => time.slice(0, 10);

/** A block that is there, with its own time; with the day that is expected if it is to come. */
export function block(height, time, isToCome = false) {
  if (!time) return number(height);
  return `${number(height)} (${isToCome ? `about ${day(time)}` : moment(time)})`;
}

/** A time in seconds since 1970 in the form of RFC 3339. */
export const rfc3339 = (seconds) => new Date(seconds * 1000).toISOString();

export function syncText(sync) {
  const left = `${count(sync.blocks_left, "block")} left`;
  const pace = sync.blocks_per_minute;
  if (!pace) return left;
  let rate = `${pace} blocks/min`;
  if (pace >= 600) rate = `${number(Math.floor(pace / 60))} blocks/s`;
  else if (pace >= 60) rate = `${(pace / 60).toFixed(1)} blocks/s`;
  if (sync.seconds_left === null) return `${left}, ${rate}`;
  return `${left}, ${rate}, done in about ${duration(sync.seconds_left)}`;
}

const UNITS = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];

export function bytes(value) {
  const [unit, size] = UNITS.find(([, size]) => value >= size) ?? ["bytes", 1];
  const scaled = value / size;
  return `${scaled >= 100 || size === 1 ? Math.round(scaled) : scaled.toFixed(1)} ${unit}`;
}

/** Three digits and a unit, from microseconds. */
export function latency(us) {
  if (us === null || us === undefined) return "–";
  const digits = (value) => (value >= 100 ? Math.round(value).toString() : value.toPrecision(value >= 10 ? 3 : 2).replace(/\.0+$/, ""));
  if (us < 1000) return `${digits(us)} µs`;
  if (us < 1e6) return `${digits(us / 1000)} ms`;
  return `${digits(us / 1e6)} s`;
}

/** Questions a second. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0 || value >= 100) return number(Math.round(value));
  return value.toPrecision(2).replace(/\.0$/, "");
}
