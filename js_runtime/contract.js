/**
 * The contract: which tasks, labels and control tokens the model was made for.
 *
 * Mirrors function/contract.py. Both runtimes read the copy in the bundle, to which export added
 * what it measured (version, temperatures, thresholds).
 */

const KINDS = ['single', 'multi'];
const TASK_KEYS = ['name', 'control', 'kind', 'labels'];
/** @type {Record<string, string[]>} */
const OPTIONAL = {
  single: ['only_if', 'temperature', 'threshold'],
  multi: ['only_if', 'thresholds'],
};

/** A contract that breaks a rule: `file: JSON path: what was found, what is expected`. */
export class ContractError extends Error {
  name = 'ContractError';
}

/**
 * One question. Its logits are columns `start` to before `stop`, read at its own control token.
 *
 * `single`: a softmax of the logits divided by `temperature`; an answer that scores below
 * `threshold` abstains. `multi`: a label is given from its own one of `thresholds` on.
 *
 * @typedef {object} Task
 * @property {string} name
 * @property {string} control
 * @property {number} controlId
 * @property {'single' | 'multi'} kind
 * @property {readonly string[]} labels
 * @property {readonly (readonly [string, string])[]} onlyIf
 * @property {number} start
 * @property {number} stop
 * @property {number} temperature
 * @property {number} threshold
 * @property {readonly number[]} thresholds
 */

/**
 * All questions. `maxPieces` is the longest whole sequence, special tokens included; `columns` the
 * name of every logit column, such as `source:plant`.
 *
 * @typedef {object} Contract
 * @property {number} schema
 * @property {string} name
 * @property {string | null} version
 * @property {number} maxPieces
 * @property {readonly Readonly<Task>[]} tasks
 * @property {readonly string[]} columns
 * @property {readonly number[]} controlIds
 */

/**
 * The contract in the text of a `contract.json`; `vocab` maps word pieces to ids.
 * Throws ContractError naming `where` and the JSON path.
 *
 * @param {string} text
 * @param {ReadonlyMap<string, number>} vocab
 * @param {string} where
 * @returns {Readonly<Contract>}
 */
export function load(text, vocab, where = 'contract.json') {
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new ContractError(`${where}: $: found broken JSON (${/** @type {Error} */ (error).message})`);
  }
  return parse(data, vocab, where);
}

/**
 * The contract in decoded JSON; `where` names its origin in errors. Throws ContractError.
 *
 * @param {any} data
 * @param {ReadonlyMap<string, number>} vocab
 * @param {string} where
 * @returns {Readonly<Contract>}
 */
export function parse(data, vocab, where = 'contract.json') {
  const check = new Check(where);
  check.keys(data, '$', ['schema', 'name', 'max_pieces', 'tasks'], ['version']);
  check.that(data.schema === 1, '$.schema', data.schema, '1');
  check.text(data.name, '$.name');
  if (Object.hasOwn(data, 'version')) check.text(data.version, '$.version');
  const entries = data.tasks;
  check.that(Array.isArray(entries) && entries.length > 0, '$.tasks', entries, 'a list of tasks');
  /** @type {Task[]} */
  const tasks = [];
  for (const [n, entry] of entries.entries()) {
    tasks.push(task(entry, `$.tasks[${n}]`, tasks, vocab, check));
  }
  // [CLS], at least one piece, the controls, [SEP]
  const least = tasks.length + 3;
  const longest = data.max_pieces;
  check.that(Number.isSafeInteger(longest) && longest >= least, '$.max_pieces', longest,
    `a whole number of at least ${least}`);
  return Object.freeze({
    schema: 1,
    name: data.name,
    version: data.version ?? null,
    maxPieces: longest,
    tasks: Object.freeze(tasks),
    columns: Object.freeze(tasks.flatMap((one) => one.labels.map((label) => `${one.name}:${label}`))),
    controlIds: Object.freeze(tasks.map((one) => one.controlId)),
  });
}

/**
 * The task in `entry`, found at JSON path `at`, after the tasks `before`.
 *
 * @param {any} entry
 * @param {string} at
 * @param {readonly Task[]} before
 * @param {ReadonlyMap<string, number>} vocab
 * @param {Check} check
 * @returns {Readonly<Task>}
 */
function task(entry, at, before, vocab, check) {
  check.keys(entry, at, TASK_KEYS, Object.values(OPTIONAL).flat());
  const { name, control, kind, labels } = entry;
  check.text(name, `${at}.name`);
  check.that(before.every((one) => one.name !== name), `${at}.name`, name,
    'a name that no other task has');
  // `text` and `scores` are keys of an answer beside the tasks' names.
  check.that(name !== 'text' && name !== 'scores', `${at}.name`, name,
    'another name, this is reserved');
  check.that(KINDS.includes(kind), `${at}.kind`, kind, `one of ${KINDS.join(', ')}`);
  check.keys(entry, at, TASK_KEYS, OPTIONAL[kind]);
  checkControl(control, `${at}.control`, before, vocab, check);
  checkLabels(labels, kind, `${at}.labels`, check);
  const { temperature = 1, threshold = 0, thresholds = labels.map(() => 0.5) } = entry;
  check.that(Number.isFinite(temperature) && temperature > 0, `${at}.temperature`, temperature,
    'a number above 0');
  check.that(Number.isFinite(threshold) && threshold >= 0 && threshold < 1, `${at}.threshold`,
    threshold, 'a number from 0 to below 1');
  check.that(
    Array.isArray(thresholds) && thresholds.length === labels.length
      && thresholds.every((x) => Number.isFinite(x) && x > 0 && x < 1),
    `${at}.thresholds`, thresholds, `${labels.length} numbers between 0 and 1, one per label`,
  );
  const start = before.at(-1)?.stop ?? 0;
  return Object.freeze({
    name, control, controlId: /** @type {number} */ (vocab.get(control)), kind,
    labels: Object.freeze([...labels]),
    onlyIf: onlyIf(Object.hasOwn(entry, 'only_if') ? entry.only_if : {}, `${at}.only_if`, before, check),
    start, stop: start + labels.length, temperature, threshold,
    thresholds: Object.freeze([...thresholds]),
  });
}

/**
 * @param {any} control
 * @param {string} at
 * @param {readonly Task[]} before
 * @param {ReadonlyMap<string, number>} vocab
 * @param {Check} check
 */
function checkControl(control, at, before, vocab, check) {
  check.text(control, at);
  for (const one of before) {
    check.that(control !== one.control, at, control, `another one than task ${one.name}'s`);
  }
  const special = control.startsWith('[') && control.endsWith(']') && control.length > 2;
  check.that(vocab.has(control) && !special && !control.startsWith('##'), at, control,
    'exactly one entry of the vocabulary, neither special nor a continuation');
}

/**
 * @param {any} labels
 * @param {string} kind
 * @param {string} at
 * @param {Check} check
 */
function checkLabels(labels, kind, at, check) {
  const least = kind === 'single' ? 2 : 1;
  check.that(Array.isArray(labels) && labels.length >= least, at, labels,
    `a list of at least ${least} labels`);
  for (const [n, label] of labels.entries()) {
    check.text(label, `${at}[${n}]`);
    check.that(!label.includes('|'), `${at}[${n}]`, label, "a label without '|', which joins labels");
    check.that(labels.indexOf(label) === n, `${at}[${n}]`, label, 'every label once');
  }
}

/**
 * Conditions on earlier `single` tasks, whose answer is one label and already known.
 *
 * @param {any} data
 * @param {string} at
 * @param {readonly Task[]} before
 * @param {Check} check
 * @returns {readonly (readonly [string, string])[]}
 */
function onlyIf(data, at, before, check) {
  check.that(isObject(data), at, data, 'an object of task and label');
  const single = before.filter((one) => one.kind === 'single');
  const known = single.map((one) => one.name).join(', ') || 'none there is';
  for (const [name, label] of Object.entries(data)) {
    const found = single.find((one) => one.name === name);
    check.that(found, at, name, `the name of an earlier single task (${known})`);
    const options = /** @type {Task} */ (found).labels;
    check.that(options.includes(label), `${at}.${name}`, label, `one of ${options.join(', ')}`);
  }
  return Object.freeze(Object.entries(data));
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Throws with the file and the JSON path of the first rule that is broken. */
class Check {
  /** @param {string} where */
  constructor(where) {
    this.where = where;
  }

  /**
   * @param {unknown} holds
   * @param {string} at
   * @param {unknown} found
   * @param {string} expected
   */
  that(holds, at, found, expected) {
    if (holds) return;
    const whole = JSON.stringify(found) ?? 'nothing';
    const shown = whole.length <= 80 ? whole : `${whole.slice(0, 77)}...`;
    throw new ContractError(`${this.where}: ${at}: found ${shown}, expected ${expected}`);
  }

  /**
   * @param {unknown} value
   * @param {string} at
   */
  text(value, at) {
    this.that(typeof value === 'string' && value.trim(), at, value, 'a non-empty string');
  }

  /**
   * @param {any} value
   * @param {string} at
   * @param {readonly string[]} required
   * @param {readonly string[]} optional
   */
  keys(value, at, required, optional) {
    this.that(isObject(value), at, value, 'an object');
    const found = Object.keys(value).sort();
    for (const key of [...required].sort()) {
      this.that(found.includes(key), at, found, `a key '${key}'`);
    }
    const known = [...new Set([...required, ...optional])].sort();
    for (const key of found) {
      this.that(known.includes(key), `${at}.${key}`, key, `only ${known.join(', ')}`);
    }
  }
}
