// Questions to the daemon that serves this page.

/** How long an answer may take: the daemon itself gives up after 30 s. */
const PATIENCE = 32_000;

/** The daemon answered that it cannot; its sentence says what to do. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function get(path, patience = PATIENCE) {
  const response = await fetch(path, { signal: AbortSignal.timeout(patience), cache: "no-store" });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, body?.error ?? `bnsd answered with ${response.status}.`);
  return body;
}

export const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join("/")}`;
