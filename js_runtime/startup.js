/**
 * The timeline of a cold start, from the start of the process to its first answer. Mirrors
 * timing/startup.py, with its names, its record and its rule that each stage begins where the one
 * before ended.
 *
 * Imported right after functions-framework: `interpreter` is what passed until Node had started
 * itself, `framework` from there to this module.
 *
 * @typedef {import('./timing.js').Trace} Trace
 */
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { timed, timing } from './timing.js';

const [WAITING, ANSWERING] = ['first request', 'first answer'];
const TICK = 10; // ms; 100 a second on every Linux that Node runs on

/** The stages since `began` (ms of `timing.clock`), until the first answer. */
export class Timeline {
  /** @type {Map<string, number>} */
  #stages = new Map(); // ms
  #began;
  #last;
  #open = true; // marks count
  #cold = true; // no invocation yet

  /** @param {number} began */
  constructor(began) {
    this.#began = began;
    this.#last = began;
  }

  /**
   * `stage` ends now, or at `now` (ms of `timing.clock`). Of the same name, they add up.
   *
   * @param {string} stage
   * @param {number} now
   */
  mark(stage, now = timing.clock()) {
    if (!this.#open) return;
    this.#stages.set(stage, (this.#stages.get(stage) ?? 0) + now - this.#last);
    this.#last = now;
  }

  /**
   * `timed` for a request, labelled as a cold start if it is the first, which ends the timeline.
   *
   * @template T
   * @param {string} name
   * @param {() => T | Promise<T>} work
   * @param {Trace} [trace]
   * @returns {Promise<[T, number]>}
   */
  async invocation(name, work, trace) {
    const cold = this.#cold;
    this.#cold = false;
    if (cold) this.mark(WAITING);
    try {
      return await timed(name, work, { labels: { 'faas.coldstart': String(cold) }, trace });
    } finally {
      if (cold) this.#close(trace);
    }
  }

  /** @param {Trace} [trace] */
  #close(trace) {
    this.mark(ANSWERING);
    this.#open = false;
    const total = this.#last - this.#began;
    const stages = Object.fromEntries(this.#stages);
    timing.sink?.({
      severity: 'INFO',
      message: `cold start ${total.toFixed(3)} ms`,
      span: 'startup',
      duration_ms: total,
      stages_ms: stages,
      'faas.coldstart': true,
      'faas.init_duration': (total - stages[WAITING] - stages[ANSWERING]) / 1e3,
      'faas.invoke_duration': stages[ANSWERING] / 1e3,
    }, trace);
  }
}

/**
 * ms since this process began, to a tick of the kernel's clock; since Node took over where no file
 * tells, or where the machine slept since its boot.
 *
 * Field 22 of proc(5): ticks from boot to the start of the process.
 */
export function processAge(stat = '/proc/self/stat') {
  const ours = performance.now();
  try {
    // What is before the last parenthesis is the command, with any parentheses and spaces.
    const ticks = Number(readFileSync(stat, 'utf8').replace(/^.*\)/s, '').trim().split(' ')[19]);
    const age = Number(process.hrtime.bigint()) / 1e6 - ticks * TICK;
    return age > ours ? age : ours; // nor if it is NaN
  } catch {
    return ours;
  }
}

/** The timeline of this process, its stages before this call told apart as well as they can. */
function begin() {
  const now = timing.clock();
  const found = new Timeline(now - processAge());
  found.mark('interpreter', performance.nodeTiming.bootstrapComplete);
  found.mark('framework', now);
  return found;
}

export const timeline = begin();
timing.mark = (stage) => timeline.mark(stage);
subscribe('tracing:net.server.listen:asyncEnd', () => timeline.mark('listening'));
