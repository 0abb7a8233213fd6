/**
 * Exact BERT uncased WordPiece, and the one place that composes a sequence. Mirrors
 * function/wordpiece.py.
 *
 * Follows Hugging Face `tokenizers`: BertNormalizer (clean text, CJK apart, accents stripped, lower
 * case), BertPreTokenizer, WordPiece with words of at most 100 characters. All that Unicode decides
 * is in `unicode.js`, made from the reference by `tests/make_unicode.py`, so that the engine's own
 * Unicode version never matters.
 *
 * @typedef {import('./contract.js').Contract} Contract
 */
import unicode from './unicode.js';

const MAX_WORD = 100; // characters; the reference makes a longer word [UNK]
const MEMO = 20_000; // words and code points remembered, so that no visitor can fill the memory
const ASCII = /^[\0-\x7f]*$/;

/** A vocabulary that is no BERT vocabulary. */
export class VocabularyError extends Error {
  name = 'VocabularyError';
}

/** Code point to replacement: '' removes, spaces cut words. @type {Map<number, string>} */
const table = new Map(
  Object.entries(unicode.mapped).map(([c, text]) => [/** @type {number} */ (c.codePointAt(0)), text]),
);
for (let code = 0; code < 128; code++) spread(code); // remembered, whatever comes first
const full = table.size + MEMO;

/** The rank of each combining mark that survives. @type {Map<string, number>} */
const marks = new Map(Object.entries(unicode.marks));

/**
 * What becomes of a code point inside a word.
 *
 * @param {number} code
 * @returns {string}
 */
function spread(code) {
  let text = table.get(code);
  if (text === undefined) {
    if (code >= 0xac00 && code < 0xd7a4) text = hangul(code - 0xac00);
    else if (inside(code, unicode.removed)) text = '';
    else if (inside(code, unicode.isolated)) text = ` ${String.fromCodePoint(code)} `;
    else text = String.fromCodePoint(code);
    if (code < 128 || table.size < full) table.set(code, text);
  }
  return text;
}

/**
 * Whether `code` is in one of the ranges [start, stop, start, stop, ...].
 *
 * @param {number} code
 * @param {readonly number[]} ranges
 */
function inside(code, ranges) {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle] <= code) low = middle + 1;
    else high = middle;
  }
  return low % 2 === 1;
}

/**
 * The jamo of a syllable (Unicode, section 3.12).
 *
 * @param {number} index
 */
function hangul(index) {
  const tail = index % 28;
  const vowel = ((index - tail) / 28) % 21;
  const lead = Math.floor(index / (21 * 28));
  return String.fromCharCode(0x1100 + lead, 0x1161 + vowel, ...(tail ? [0x11a7 + tail] : []));
}

/**
 * The normalized words and punctuation marks of `text`.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function words(text) {
  let done = '';
  for (const c of text) done += spread(/** @type {number} */ (c.codePointAt(0)));
  if (!ASCII.test(done) && [...done].some((c) => marks.has(c))) done = reorder(text);
  return done.split(' ').filter((word) => word);
}

/**
 * `text` spread as by the table, its surviving combining marks in canonical order.
 *
 * Sorting is stable, so sorting each run of marks by class is the canonical ordering (Unicode,
 * section 3.11). A removed mark belongs to the run; a removed starter ends it.
 *
 * @param {string} text
 */
function reorder(text) {
  let done = '';
  /** @type {string[]} */
  let run = [];
  const flush = () => {
    run.sort((a, b) => /** @type {number} */ (marks.get(a)) - /** @type {number} */ (marks.get(b)));
    done += run.join('');
    run = [];
  };
  for (const c of text) {
    const code = /** @type {number} */ (c.codePointAt(0));
    const parts = spread(code);
    for (const d of parts) {
      if (marks.has(d)) {
        run.push(d);
        continue;
      }
      flush();
      done += d;
    }
    if (!parts && inside(code, unicode.blockers)) flush();
  }
  flush();
  return done;
}

/** A vocabulary and the pieces it cuts words into. `vocab` maps a piece to its id. */
export class WordPiece {
  #unknown;
  #first;
  #last;
  #longest = 0;
  /** @type {Map<string, readonly number[]>} */
  #memo = new Map();

  /** @param {ReadonlyMap<string, number>} vocab */
  constructor(vocab) {
    const id = (/** @type {string} */ name) => {
      const found = vocab.get(name);
      if (found === undefined) throw new VocabularyError(`vocabulary: found no ${name}, expected one`);
      return found;
    };
    id('[PAD]');
    this.vocab = vocab;
    this.#unknown = [id('[UNK]')];
    this.#first = id('[CLS]');
    this.#last = id('[SEP]');
    for (const piece of vocab.keys()) this.#longest = Math.max(this.#longest, piece.length);
  }

  /**
   * The ids of the phrase alone, without special tokens. Every text has an answer; lone surrogates
   * are ignored.
   *
   * @param {string} text
   * @returns {number[]}
   */
  pieces(text) {
    const memo = this.#memo;
    /** @type {number[]} */
    const ids = [];
    for (const word of words(text)) {
      let found = memo.get(word);
      if (found === undefined) {
        // In code points. Not remembered: 20,000 such would fill the memory.
        if (word.length > MAX_WORD && [...word].length > MAX_WORD) {
          ids.push(...this.#unknown);
          continue;
        }
        found = this.#cut(word);
        if (memo.size >= MEMO) memo.clear();
        memo.set(word, found);
      }
      ids.push(...found);
    }
    return ids;
  }

  /**
   * [CLS] pieces controls [SEP], at most `contract.maxPieces` ids.
   *
   * Only the phrase is cut. The controls enter by id, so a control token or `[SEP]` that a user
   * typed stays ordinary text.
   *
   * @param {string} text
   * @param {Readonly<Contract>} contract
   * @returns {number[]}
   */
  encode(text, contract) {
    const room = contract.maxPieces - 2 - contract.tasks.length;
    return [this.#first, ...this.pieces(text).slice(0, room), ...contract.controlIds, this.#last];
  }

  /**
   * The longest pieces from left to right; [UNK] where one part has none.
   *
   * Cut by UTF-16 units: half a surrogate pair is in no piece of a vocabulary that was UTF-8, so
   * what is found always ends between two code points.
   *
   * @param {string} word
   * @returns {readonly number[]}
   */
  #cut(word) {
    const ids = [];
    let start = 0;
    let prefix = '';
    while (start < word.length) {
      let end = Math.min(word.length, start + this.#longest);
      let found;
      for (; end > start; end--) {
        found = this.vocab.get(prefix + word.slice(start, end));
        if (found !== undefined) break;
      }
      if (found === undefined) return this.#unknown;
      ids.push(found);
      start = end;
      prefix = '##';
    }
    return ids;
  }
}

/**
 * The vocabulary in the bytes of a `vocab.txt`: one piece a line, its id the line's number from 0.
 * Throws VocabularyError naming `where` (and the line).
 *
 * @param {Uint8Array} content
 * @param {string} where
 * @returns {WordPiece}
 */
export function load(content, where = 'vocab.txt') {
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new VocabularyError(`${where}: found bytes that are not UTF-8, expected UTF-8`);
  }
  const lines = text.replace(/\n$/, '').split('\n');
  /** @type {Map<string, number>} */
  const vocab = new Map();
  for (let n = 0; n < lines.length; n++) vocab.set(lines[n], n);
  if (vocab.size !== lines.length) {
    const n = lines.findIndex((piece, at) => vocab.get(piece) !== at);
    throw new VocabularyError(`${where}:${n + 1}: found '${lines[n]}' twice, expected it once`);
  }
  try {
    return new WordPiece(vocab);
  } catch (error) {
    throw new VocabularyError(`${where}: ${/** @type {Error} */ (error).message}`);
  }
}
