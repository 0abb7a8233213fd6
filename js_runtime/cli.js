#!/usr/bin/env node
/** Classify on the command line: `whippedup-classify "smoked paprika"`. Mirrors __main__.py. */
import { parseArgs } from 'node:util';
import { load } from './node.js';
import { problem, wellFormed } from './request.js';

/** @typedef {import('./decode.js').Answer} Answer */

const USAGE = 'usage: whippedup-classify [--json] [--bundle FOLDER] TEXT [TEXT ...]';
const HELP = `${USAGE}

  TEXT             a phrase; - reads lines of standard input
  --json           one JSON answer a line
  --bundle FOLDER  folder of the model (default: the one that came along)`;
const BATCH = 256;

async function main() {
  const { values, positionals } = options();
  const model = await load(values.bundle);
  /** @type {string[]} */
  let batch = [];
  const flush = async () => {
    const [answers] = await model.answer(batch);
    show(answers, model.contract.tasks.map((task) => task.name), values.json);
    batch = [];
  };
  for await (const text of read(positionals)) {
    if (batch.push(text) === BATCH) await flush();
  }
  if (batch.length > 0) await flush();
}

function options() {
  try {
    const given = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        bundle: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (given.values.help) {
      console.log(HELP);
      process.exit(0);
    }
    if (given.positionals.length > 0) return given;
    console.error(`${USAGE}\nerror: found no text, expected one or more`);
  } catch (error) {
    console.error(`${USAGE}\nerror: ${/** @type {Error} */ (error).message}`);
  }
  process.exit(2);
}

/**
 * The texts of the arguments and, for `-`, of standard input. Throws RangeError.
 *
 * @param {readonly string[]} given
 * @returns {AsyncGenerator<string>}
 */
async function* read(given) {
  for (const [n, text] of given.entries()) {
    if (text !== '-') {
      yield checked(text, `text ${n + 1}`);
      continue;
    }
    let number = 0;
    for await (const line of lines(process.stdin)) {
      number += 1;
      if (line.trim()) yield checked(line.replace(/\r+$/, ''), `stdin:${number}`);
    }
  }
}

/**
 * Lines end with "\n" alone, and what is not UTF-8 becomes U+FFFD; node:readline also cuts at
 * U+2028 and a lone "\r".
 *
 * @param {AsyncIterable<Buffer>} stream
 * @returns {AsyncGenerator<string>}
 */
async function* lines(stream) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = /** @type {string} */ (parts.pop());
    yield* parts;
  }
  yield rest + decoder.decode();
}

/**
 * @param {string} text
 * @param {string} place
 */
function checked(text, place) {
  const fault = problem(text);
  if (fault) throw new RangeError(`${place}: ${fault}`);
  return wellFormed(text);
}

/**
 * @param {({ text: string } & Answer)[]} answers
 * @param {string[]} tasks
 * @param {boolean} asJson
 */
function show(answers, tasks, asJson) {
  if (asJson) {
    for (const answer of answers) console.log(JSON.stringify(answer));
    return;
  }
  const rows = [
    ['text', ...tasks],
    ...answers.map((answer) => [answer.text, ...tasks.map((task) => cell(answer[task]))]),
  ];
  const width = (/** @type {string} */ text) => [...text].length;
  const widths = rows[0].map((_, n) => Math.max(...rows.map((row) => width(row[n]))));
  for (const row of rows) {
    console.log(row.map((text, n) => text + ' '.repeat(widths[n] - width(text))).join('  ').trimEnd());
  }
}

/**
 * `plant 0.99`, several joined by commas, a dash where there is nothing to say, a question mark
 * behind what the model is too unsure of.
 *
 * @param {Answer[string]} answer
 */
function cell(answer) {
  const several = [answer ?? []].flat();
  const shown = several.map((one) => `${one.label} ${one.score.toFixed(2)}${one.abstain ? '?' : ''}`);
  return shown.join(', ') || '–';
}

process.stdout.on('error', (error) => {
  // The reader has seen enough (`| head`): no complaint at exit.
  process.exit(/** @type {NodeJS.ErrnoException} */ (error).code === 'EPIPE' ? 0 : 1);
});
try {
  await main();
} catch (error) {
  console.error(`error: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 1;
}
