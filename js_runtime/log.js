/**
 * Records as lines on standard error: JSON in Cloud Logging's form, words where a person reads.
 * Mirrors timing/log.py.
 *
 * @typedef {import('./timing.js').Record} Record
 * @typedef {import('./timing.js').Trace} Trace
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';

const STDERR = 2; // as a number: process.stderr would cost a cold start 5 ms

/**
 * One line. A log that nobody reads on must not keep anybody from an answer.
 *
 * @param {Record} record
 * @param {Trace} [trace]
 */
export function write(record, trace) {
  try {
    writeSync(STDERR, `${isatty(STDERR) ? human(record) : JSON.stringify(entry(record, trace))}\n`);
  } catch {
    // A full disk or a closed pipe.
  }
}

/**
 * `record` with a `message`, and the trace of its request. The trace's resource name needs
 * `GOOGLE_CLOUD_PROJECT`; without it, its id stands alone.
 *
 * @param {Record} record
 * @param {Trace} [trace]
 */
export function entry(record, trace) {
  const line = { message: message(record), ...record };
  if (!trace) return line;
  const project = process.env.GOOGLE_CLOUD_PROJECT;
  return {
    ...line,
    'logging.googleapis.com/trace': project ? `projects/${project}/traces/${trace.id}` : trace.id,
    ...(trace.span && { 'logging.googleapis.com/spanId': trace.span }),
  };
}

/**
 * Such as `encode 0.041 ms in request`, with the error's type where it failed.
 *
 * @param {Record} record
 */
export function human(record) {
  const inside = record.parent ? ` in ${record.parent}` : '';
  return message(record) + inside + (record.error ? `: ${record.error}` : '');
}

/** @param {Record} record */
function message(record) {
  return record.message ?? `${record.span} ${/** @type {number} */ (record.duration_ms).toFixed(3)} ms`;
}
