/**
 * How long each stage took: `await timed('encode', () => ...)`; a record each. Mirrors timing/.
 *
 * A record holds severity, span and duration_ms, and parent, labels and error (the exception's
 * type) where there is one. Nothing that a user typed is ever in it.
 *
 * @typedef {{ severity: string, [key: string]: unknown }} Record
 * @typedef {{ id: string, span?: string }} Trace the trace that a request belongs to, in hex digits
 * @typedef {{ name: string, trace?: Trace }} Span
 */

/**
 * The spans around what runs now, as far as it does not wait: an `await` forgets them. Where
 * requests overlap, an AsyncLocalStorage takes its place.
 */
class Stack {
  /** @type {Span | undefined} */
  #top;

  getStore() {
    return this.#top;
  }

  /**
   * @template T
   * @param {Span} span
   * @param {() => T} work
   * @returns {T}
   */
  run(span, work) {
    const before = this.#top;
    this.#top = span;
    try {
      return work();
    } finally {
      this.#top = before;
    }
  }
}

/**
 * Replaceable, for tests and by the function: what reads the time in ms, what takes a record, who
 * knows the span around, and who is told which stage of a start just ended. Nothing takes records
 * at first, for this also runs in a visitor's browser.
 *
 * @type {{
 *   clock: () => number,
 *   sink: ((record: Record, trace?: Trace) => void) | null,
 *   context: { getStore(): Span | undefined, run<T>(span: Span, work: () => T): T },
 *   mark: (stage: string) => void,
 * }}
 */
export const timing = {
  clock: () => performance.now(),
  sink: null,
  context: new Stack(),
  mark() {},
};

/**
 * What `work` gives and the ms it took. A failure is recorded by its type alone: a message may
 * quote what a user typed.
 *
 * @template T
 * @param {string} name
 * @param {() => T | Promise<T>} work
 * @param {{ labels?: { [name: string]: string }, trace?: Trace }} given `trace` is that of the span
 *   around where it is absent
 * @returns {Promise<[T, number]>}
 */
export async function timed(name, work, { labels, trace } = {}) {
  const around = timing.context.getStore();
  const span = { name, trace: trace ?? around?.trace };
  const began = timing.clock();
  /** @type {unknown} */
  let error;
  try {
    const result = await timing.context.run(span, work);
    return [result, timing.clock() - began];
  } catch (caught) {
    error = caught ?? 'nothing';
    throw caught;
  } finally {
    timing.sink?.({
      severity: error === undefined ? 'INFO' : 'ERROR',
      span: name,
      duration_ms: Number((timing.clock() - began).toFixed(6)),
      ...(around && { parent: around.name }),
      ...(labels && { labels }),
      ...(error !== undefined && { error: error instanceof Error ? error.name : typeof error }),
    }, span.trace);
  }
}
