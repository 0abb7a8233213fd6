/**
 * Records as lines on standard error: JSON in Cloud Logging's form, words where a person reads.
 * Mirrors timing/log.py.
 *
 * @typedef {import('./timing.js').Record} Record
 * @typedef {import('./timing.js').Trace} Trace
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';

const STDERR = 2; // as a number: process.stderr would cost a cold start 5 ms
/** @type {number | undefined} */
let unblocked;

/**
 * One line. A log that nobody reads or that is full must not keep anybody from an answer: the line
 * is lost.
 *
 * @param {Record} record
 * @param {Trace} [trace]
 */
export function write(record, trace) {
  try {
    unblocked ??= unblock();
    writeSync(unblocked, `${isatty(STDERR) ? human(record) : JSON.stringify(entry(record, trace))}\n`);
  } catch {
    // A full disk, a closed pipe, or one that is full as nobody reads it.
  }
}

/**
 * Standard error; of a pipe, a descriptor of our own that is never waited for, so that those who
 * share standard error keep theirs as it was.
 */
function unblock() {
  if (!fstatSync(STDERR).isFIFO()) return STDERR;
  try {
    return openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return STDERR;
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
