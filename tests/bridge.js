/**
 * The JavaScript core for tests/test_javascript.py: JSON lines in, a JSON line out for each.
 *
 *     node tests/bridge.js vocab.txt
 */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parse } from '../js_runtime/contract.js';
import { decode, probabilities, round } from '../js_runtime/decode.js';
import { describe } from '../js_runtime/openapi.js';
import { load } from '../js_runtime/wordpiece.js';

const wordpiece = load(await readFile(process.argv[2]));

/** What can be asked, by name. */
const ANSWERS = {
  pieces: (texts) => texts.map((text) => wordpiece.pieces(text)),
  encode: (texts, contract) => texts.map((text) => wordpiece.encode(text, parsed(contract))),
  contract: (data, vocab) => {
    try {
      return parsed(data, vocab);
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  },
  decode: (logits, contract, vocab) => {
    const made = parsed(contract, vocab);
    const found = probabilities(new Float32Array(logits), made);
    return [[...found], decode(found, made, true)];
  },
  round: (numbers) => numbers.map(round),
  describe: (contract, vocab, id) => describe(parsed(contract, vocab), id),
};

function parsed(data, vocab = wordpiece.vocab) {
  return parse(data, vocab instanceof Map ? vocab : new Map(Object.entries(vocab)), 'my.json');
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(ANSWERS[name](...given))}\n`);
}
