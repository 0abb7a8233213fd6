/**
 * What timing reads from a request's headers and writes into an answer's. Mirrors timing/headers.py.
 *
 * @typedef {import('./timing.js').Trace} Trace
 */

// https://www.w3.org/TR/trace-context/#traceparent-header and, the older one of Google,
// https://cloud.google.com/trace/docs/trace-context, whose span id is decimal.
const W3C = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;
const GOOGLE = /^([0-9a-fA-F]{32})(?:\/([0-9]{1,20}))?(?:;o=[0-9]+)?$/;
const NOTHING = /^0*$/;

/**
 * Trace and span id of `traceparent` or else `X-Cloud-Trace-Context`; malformed ones are ignored,
 * as the specification asks.
 *
 * @param {{ [name: string]: string | string[] | undefined }} headers names in lower case
 * @returns {Trace | undefined}
 */
export function traceOf(headers) {
  const [, version, id, span, more] = W3C.exec(one(headers.traceparent)) ?? [];
  // Later versions may append fields, this one may not.
  const known = version && version !== 'ff' && !(version === '00' && more);
  if (known && !NOTHING.test(id) && !NOTHING.test(span)) return { id, span };
  const [, older, decimal = '0'] = GOOGLE.exec(one(headers['x-cloud-trace-context'])) ?? [];
  if (older === undefined || NOTHING.test(older)) return undefined;
  const hex = BigInt(decimal).toString(16).padStart(16, '0');
  const whole = !NOTHING.test(hex) && hex.length === 16;
  return { id: older.toLowerCase(), ...(whole && { span: hex }) };
}

/** @param {string | string[] | undefined} header */
function one(header) {
  return typeof header === 'string' ? header : '';
}

/**
 * The value of a `Server-Timing` header from ms by name, which must be tokens
 * (https://www.w3.org/TR/server-timing/), such as `encode;dur=0.041, infer;dur=0.102`.
 *
 * @param {{ [name: string]: number }} durations
 */
export function serverTiming(durations) {
  return Object.entries(durations).map(([name, ms]) => `${name};dur=${ms.toFixed(3)}`).join(', ');
}
