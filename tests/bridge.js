/**
 * The JavaScript runtime for tests/test_javascript.py: JSON lines in, a JSON line out for each.
 *
 *     node tests/bridge.js vocab.txt
 */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parse } from '../js_runtime/contract.js';
import { decode, probabilities, round } from '../js_runtime/decode.js';
import { Model } from '../js_runtime/model.js';
import { describe } from '../js_runtime/openapi.js';
import { load } from '../js_runtime/wordpiece.js';

const wordpiece = load(await readFile(process.argv[2]));

/** The best other tokenizer on npm, for benchmarks/tokenizers.py to compare with. */
async function library() {
  const { Tokenizer } = await import('@huggingface/tokenizers');
  const read = async (name) => JSON.parse(await readFile(`bundle/${name}.json`, 'utf8'));
  return new Tokenizer(await read('tokenizer'), await read('tokenizer_config'));
}

let other;

/** The shipped model, by runtime; onnxruntime-web's WebAssembly is the browser's own. */
const MODELS = {
  node: async () => (await import('../js_runtime/node.js')).load(),
  async wasm() {
    const { Wasm } = await import('../js_runtime/wasm.js');
    const binary = await readFile('node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm');
    const graph = await readFile('bundle/onnx/model_quantized.onnx');
    const frozen = (await Wasm.open(binary, graph)).freeze(); // as on a second visit
    const { session } = await Wasm.open(binary, graph, frozen);
    const { contract, wordpiece: pieces } = await MODELS.node();
    return new Model(contract, pieces, session);
  },
};

/** What can be asked, by name. */
const ANSWERS = {
  pieces: (texts) => texts.map((text) => wordpiece.pieces(text)),
  library: async (texts) => {
    const tokenizer = await (other ??= library());
    return texts.map((text) => tokenizer.encode(text, { add_special_tokens: false }).ids);
  },
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
  probabilities: async (runtime, texts) => {
    const model = await MODELS[runtime]();
    const found = await model.infer(texts.map((text) => model.wordpiece.encode(text, model.contract)));
    return found.map((p) => [...p]);
  },
  describe: (contract, vocab, keyed) => describe(parsed(contract, vocab), keyed),
};

function parsed(data, vocab = wordpiece.vocab) {
  return parse(data, vocab instanceof Map ? vocab : new Map(Object.entries(vocab)), 'my.json');
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await ANSWERS[name](...given))}\n`);
}
