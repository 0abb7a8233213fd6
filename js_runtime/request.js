/**
 * From what came over HTTP to the texts to classify, or a Problem that names the fault. Mirrors
 * function/request.py.
 *
 * @typedef {import('./errors.js').Fault} Fault
 */
import { named, pointed, Problem } from './errors.js';

export const VERSION = '1.2.0'; // of the API, semantic; what changed is in CHANGELOG.md
export const MAX_BODY = 64 * 1024; // bytes
export const MAX_TEXTS = 256;
export const MAX_CHARACTERS = 1_000; // code points of one text
const MAX_DEPTH = 900; // brackets within brackets; Python's parser gives up there too
// What Python's `strip` takes off; JavaScript's `trim` differs in U+001C to U+001F, U+0085, U+FEFF.
const BLANK = /^[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$/;

/**
 * The JSON in `body`, strictly: UTF-8, no key twice. Throws Problem 400.
 *
 * @param {Uint8Array} body
 * @returns {unknown}
 */
export function parse(body) {
  let reason;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    const data = JSON.parse(text);
    reason = beyond(text);
    if (!reason) return data;
  } catch (error) {
    reason = error instanceof SyntaxError ? error.message : 'it is not UTF-8';
  }
  throw new Problem(400, `The body is not JSON: ${reason}.`, [pointed(reason)]);
}

/**
 * What is wrong with valid JSON beyond what JSON.parse minds, or nothing.
 *
 * @param {string} text
 * @returns {string | undefined}
 */
function beyond(text) {
  /** The keys so far of each open object; none of a list. @type {Set<string>[]} */
  const open = [];
  for (const [token, key] of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]/g)) {
    if (token === '{' || token === '[') {
      if (open.push(new Set()) > MAX_DEPTH) return 'it is nested too deeply';
    } else if (token === '}' || token === ']') {
      open.pop();
    } else if (key) {
      const keys = /** @type {Set<string>} */ (open.at(-1));
      if (keys.size === keys.add(JSON.parse(key)).size) return 'an object has a key twice';
    }
  }
}

/**
 * The texts that a decoded body asks for. Throws Problem 422 with every fault in it.
 *
 * @param {any} data
 * @returns {string[]}
 */
export function textsOf(data) {
  if (kind(data) !== 'an object') {
    throw unprocessable([pointed(`found ${kind(data)}, expected an object`)]);
  }
  const keys = Object.keys(data);
  const faults = keys
    .filter((key) => key !== 'text' && key !== 'texts')
    .map((key) => pointed(`found unknown field '${key}', expected 'text' or 'texts'`, key));
  const given = ['text', 'texts'].filter((key) => keys.includes(key));
  const { text, texts } = data;
  if (given.length !== 1) {
    const found = given.length > 0 ? 'both' : 'neither';
    faults.push(pointed(`found ${found} of 'text' and 'texts', expected exactly one`));
  } else if (given[0] === 'text') {
    faults.push(...textFaults(text, 'text'));
  } else if (!Array.isArray(texts)) {
    faults.push(pointed(`found ${kind(texts)}, expected a list of texts`, 'texts'));
  } else if (texts.length < 1 || texts.length > MAX_TEXTS) {
    faults.push(pointed(`found ${texts.length} texts, expected 1 to ${MAX_TEXTS}`, 'texts'));
  } else {
    faults.push(...texts.flatMap((one, n) => textFaults(one, 'texts', n)));
  }
  if (faults.length > 0) throw unprocessable(faults);
  return (given[0] === 'texts' ? texts : [text]).map(wellFormed);
}

/**
 * The `text` of a GET's query parameters. Throws Problem 422.
 *
 * @param {URLSearchParams} query
 * @returns {string}
 */
export function textOf(query) {
  const given = query.getAll('text');
  if (given.length !== 1) {
    throw unprocessable([named(`found ${given.length} times, expected once`, 'text')]);
  }
  const fault = problem(given[0]);
  if (fault) throw unprocessable([named(fault, 'text')]);
  return wellFormed(given[0]);
}

/**
 * Whether every label's probability is asked for. Throws Problem 422, also for a query parameter
 * that is not `known`: a misspelt one must not go unnoticed.
 *
 * @param {URLSearchParams} query
 * @param {readonly string[]} known
 * @returns {boolean}
 */
export function scoresOf(query, known) {
  const expected = `found an unknown query parameter, expected ${known.join(' or ')}`;
  const faults = [...new Set(query.keys())]
    .filter((name) => !known.includes(name))
    .map((name) => named(expected, name));
  const scores = query.getAll('scores');
  if (scores.length > 1 || scores.some((value) => value !== 'all')) {
    faults.push(named("expected the value 'all', once", 'scores'));
  }
  if (faults.length > 0) throw unprocessable(faults);
  return scores.length > 0;
}

/**
 * `text` with every lone surrogate replaced by U+FFFD: JSON can carry one, UTF-8 cannot. The
 * tokenizer ignores both.
 *
 * @param {string} text
 * @returns {string}
 */
export function wellFormed(text) {
  return text.toWellFormed();
}

/**
 * What is wrong with a text to classify, or nothing.
 *
 * @param {unknown} text
 * @returns {string | undefined}
 */
export function problem(text) {
  if (typeof text !== 'string') return `found ${kind(text)}, expected a string`;
  if (BLANK.test(text)) return 'found an empty text, expected something to classify';
  const length = [...text].length;
  if (length > MAX_CHARACTERS) return `found ${length} characters, expected at most ${MAX_CHARACTERS}`;
}

/**
 * @param {unknown} text
 * @param {...(string | number)} path
 */
function textFaults(text, ...path) {
  const fault = problem(text);
  return fault ? [pointed(fault, ...path)] : [];
}

/** @param {unknown} value */
function kind(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  /** @type {Record<string, string>} */
  const names = { object: 'an object', string: 'a string', boolean: 'a boolean' };
  return names[typeof value] ?? 'a number';
}

/** @param {Fault[]} faults */
function unprocessable(faults) {
  const [first] = faults;
  const place = first.pointer ?? first.parameter;
  const more = faults.length > 1 ? ` (${faults.length} faults in all)` : '';
  return new Problem(422, `${place}: ${first.detail}${more}.`, faults);
}
