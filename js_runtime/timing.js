/**
 * How long each stage took: `await timed('encode', () => ...)`; a record each. Mirrors timing/.
 *
 * Records follow Cloud Logging's structured form; nothing that a user typed is ever in one.
 *
 * @typedef {{ severity: string, message: string, [key: string]: unknown }} Record
 */

/**
 * Replaceable, for tests and for other sinks: what reads the time in ms, and what takes a record.
 * Nothing takes them at first, for this also runs in a visitor's browser.
 *
 * @type {{ clock: () => number, sink: (record: Record) => void }}
 */
export const timing = { clock: () => performance.now(), sink: () => {} };

/**
 * What `work` gives and the ms it took. A failure is recorded by its type alone: a message may
 * quote what a user typed.
 *
 * @template T
 * @param {string} span
 * @param {() => T | Promise<T>} work
 * @returns {Promise<[T, number]>}
 */
export async function timed(span, work) {
  const began = timing.clock();
  /** @type {unknown} */
  let error;
  try {
    return [await work(), timing.clock() - began];
  } catch (caught) {
    error = caught;
    throw caught;
  } finally {
    const duration = timing.clock() - began;
    timing.sink({
      severity: error === undefined ? 'INFO' : 'ERROR',
      message: `${span} ${duration.toFixed(3)} ms`,
      span,
      duration_ms: Number(duration.toFixed(6)),
      ...(error !== undefined && { error: error instanceof Error ? error.name : typeof error }),
    });
  }
}
