/**
 * From logits to the answer, in doubles: the very same sums as function/decode.py.
 *
 * @typedef {import('./contract.js').Contract} Contract
 */

/** Digits of a score in an answer. */
export const DIGITS = 4;

/**
 * @typedef {{ label: string, score: number, abstain?: true }} Scored
 * @typedef {Record<string, Scored | Scored[] | null>} Answer
 * one key a task, and `scores` where they were asked for
 */

/**
 * The probability of every label, length L, in the order of the contract's columns.
 *
 * logits: T rows of L of one text, one row after the other. Task n of N is read at row T-1-N+n, its
 * control token, over its own columns: a softmax for `single` (divided by its temperature first), a
 * sigmoid each for `multi`.
 *
 * @param {Float32Array} logits
 * @param {Readonly<Contract>} contract
 * @returns {Float64Array}
 */
export function probabilities(logits, contract) {
  const width = contract.columns.length;
  const found = new Float64Array(width);
  let row = logits.length - (1 + contract.tasks.length) * width;
  for (const { kind, start, stop, temperature } of contract.tasks) {
    for (let n = start; n < stop; n++) found[n] = logits[row + n];
    if (kind === 'single') softmax(found, start, stop, temperature);
    else sigmoid(found, start, stop);
    row += width;
  }
  return found;
}

/**
 * The softmax of `values[start..stop)` divided by `temperature`, in place.
 *
 * @param {Float64Array} values
 * @param {number} start
 * @param {number} stop
 * @param {number} temperature
 */
export function softmax(values, start, stop, temperature) {
  let largest = -Infinity;
  for (let n = start; n < stop; n++) largest = Math.max(largest, values[n]);
  let total = 0;
  for (let n = start; n < stop; n++) {
    values[n] = Math.exp((values[n] - largest) / temperature);
    total += values[n];
  }
  for (let n = start; n < stop; n++) values[n] /= total;
}

/**
 * The sigmoid of each of `values[start..stop)`, in place.
 *
 * @param {Float64Array} values
 * @param {number} start
 * @param {number} stop
 */
export function sigmoid(values, start, stop) {
  for (let n = start; n < stop; n++) {
    const power = Math.exp(-Math.abs(values[n])); // of -x for a very negative x would overflow
    values[n] = values[n] >= 0 ? 1 / (1 + power) : power / (1 + power);
  }
}

/**
 * The answer of each task by name; null or [] where its `only_if` does not hold. A `single` answer
 * that scores below the task's threshold carries `"abstain": true`: better ask a person.
 *
 * @param {Float64Array | readonly number[]} found probabilities as from `probabilities`
 * @param {Readonly<Contract>} contract
 * @param {boolean} scores whether a key `scores` adds every label's probability of every task
 * @returns {Answer}
 */
export function decode(found, contract, scores = false) {
  /** @type {Answer} */
  const answer = {};
  for (const task of contract.tasks) {
    const p = found.slice(task.start, task.stop);
    const holds = task.onlyIf.every(
      ([name, label]) => /** @type {Scored | null} */ (answer[name])?.label === label,
    );
    const one = (/** @type {number} */ n) => ({ label: task.labels[n], score: round(p[n]) });
    if (task.kind === 'single') {
      const best = p.indexOf(Math.max(...p));
      const abstains = p[best] < task.threshold;
      answer[task.name] = holds ? { ...one(best), ...(abstains && { abstain: true }) } : null;
    } else {
      const chosen = [...p.keys()].filter((n) => holds && p[n] >= task.thresholds[n]);
      chosen.sort((a, b) => p[b] - p[a]); // stable: equals stay in the contract's order
      answer[task.name] = chosen.map(one);
    }
  }
  if (!scores) return answer;
  const every = contract.tasks.map((task) => [
    task.name,
    Object.fromEntries(task.labels.map((label, n) => [label, round(found[task.start + n])])),
  ]);
  return { ...answer, scores: Object.fromEntries(every) };
}

/**
 * `p`, from 0 to 1, to DIGITS digits, a tie to the even one as Python's `round` does.
 *
 * @param {number} p
 */
export function round(p) {
  // `toFixed` looks at the exact value too, but takes a tie up. Ties are the odd 32nds alone: of
  // the odd multiples of 1/20000 only those are doubles.
  const scale = 10 ** DIGITS;
  return (p * 32) % 2 === 1 ? (2 * Math.round((p * scale) / 2)) / scale : Number(p.toFixed(DIGITS));
}
