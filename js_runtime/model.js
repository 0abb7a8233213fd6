/**
 * The bundle, checked and loaded, over a session that the runtime opens. Mirrors function/model.py;
 * what reads a file or the network comes from `node.js` or `web.js`.
 *
 * @typedef {import('./contract.js').Contract} Contract
 * @typedef {import('./wordpiece.js').WordPiece} WordPiece
 * @typedef {import('./decode.js').Answer} Answer
 */
import { Cache } from './cache.js';
import * as contracts from './contract.js';
import { decode, probabilities } from './decode.js';
import { timed, timing } from './timing.js';
import * as wordpieces from './wordpiece.js';

export const MODEL = 'onnx/model_quantized.onnx';
export const NEEDED = [MODEL, 'contract.json', 'vocab.txt'];
const CACHED = 4_096; // answers remembered, about 3 MB for the 34 labels of the ingredients

/** A bundle with a file missing, truncated or altered: names the file and both hashes. */
export class BundleError extends Error {
  name = 'BundleError';
}

/**
 * A graph that is ready to run. `columns` is the width of its logits; `run` gives the logits of
 * one text of T ids, T rows of `columns` one after the other.
 *
 * @typedef {object} Session
 * @property {number} columns
 * @property {(ids: readonly number[]) => Promise<Float32Array>} run
 */

/**
 * What a runtime lends to load a bundle: `read` gives a file's bytes and their sha256, `open` makes
 * a session of the model's bytes, whose sha256 it is told too, `paths` are the files to check (all
 * of them where absent).
 *
 * @typedef {object} Runtime
 * @property {(path: string, expected?: Entry) => Promise<{ content: Uint8Array, sha256: string }>} read
 * @property {(model: Uint8Array, sha256: string) => Promise<Session>} open
 * @property {readonly string[]} [paths]
 *
 * @typedef {{ sha256: string, size: number }} Entry
 */

/** A loaded bundle. Throws BundleError where the graph and the contract do not belong together. */
export class Model {
  /**
   * @param {Readonly<Contract>} contract
   * @param {WordPiece} wordpiece
   * @param {Session} session
   * @param {string} fingerprint sha256 of the model file
   */
  constructor(contract, wordpiece, session, fingerprint = '') {
    if (session.columns !== contract.columns.length) {
      throw new BundleError(
        `${MODEL}: found ${session.columns} logit columns, expected one for each of the `
          + `${contract.columns.length} labels of the contract`,
      );
    }
    this.contract = contract;
    this.wordpiece = wordpiece;
    this.session = session;
    this.fingerprint = fingerprint;
    this.cache = new Cache(CACHED);
  }

  /** Name and version, such as `ingredients-1.0.0`. */
  get id() {
    return [this.contract.name, this.contract.version].filter(Boolean).join('-');
  }

  /**
   * Logits of one encoded text of T ids, T rows of L.
   *
   * One text at a time on purpose: dynamic quantization scales the activations of a whole tensor,
   * so in a batch an answer would depend on its neighbours.
   *
   * @param {readonly number[]} ids
   */
  run(ids) {
    return this.session.run(ids);
  }

  /**
   * The probabilities of each encoded text, from the cache where it is known.
   *
   * @param {readonly (readonly number[])[]} encoded
   * @returns {Promise<Float64Array[]>}
   */
  async infer(encoded) {
    const found = [];
    for (const ids of encoded) {
      let p = this.cache.get(ids);
      if (p === undefined) {
        p = probabilities(await this.run(ids), this.contract);
        this.cache.put(ids, p);
      }
      found.push(p);
    }
    return found;
  }

  /**
   * The answers to `texts`, and the ms each stage took: encode, infer, decode.
   *
   * @param {readonly string[]} texts
   * @param {boolean} scores
   * @returns {Promise<[({ text: string } & Answer)[], Record<string, number>]>}
   */
  async answer(texts, scores = false) {
    const [encoded, encode] = await timed('encode', () =>
      texts.map((text) => this.wordpiece.encode(text, this.contract)));
    const [found, infer] = await timed('infer', () => this.infer(encoded));
    const [answers, decoded] = await timed('decode', () =>
      texts.map((text, n) =>
        /** @type {{ text: string } & Answer} */ ({ text, ...decode(found[n], this.contract, scores) })));
    return [answers, { encode, infer, decode: decoded }];
  }
}

/**
 * A session of onnxruntime-node as the one a Model runs (onnxruntime-web's is alike).
 *
 * @param {any} session an InferenceSession
 * @param {any} Tensor the Tensor of the same package
 * @returns {Session}
 */
export function wrap(session, Tensor) {
  const [output] = session.outputMetadata;
  const typed = session.inputNames.includes('token_type_ids');
  return {
    columns: output.shape.at(-1),
    async run(ids) {
      const tensor = (/** @type {BigInt64Array} */ values) =>
        new Tensor('int64', values, [1, ids.length]);
      const given = {
        input_ids: tensor(BigInt64Array.from(ids, BigInt)),
        attention_mask: tensor(new BigInt64Array(ids.length).fill(1n)),
        ...(typed && { token_type_ids: tensor(new BigInt64Array(ids.length)) }),
      };
      return (await session.run(given))[output.name].data;
    },
  };
}

/**
 * The bundle at `where`, every file of its manifest checked, warmed up by one inference.
 *
 * Throws BundleError, ContractError or VocabularyError where something is wrong with it.
 *
 * @param {string} where a folder or address that ends in a slash
 * @param {Runtime} runtime
 * @returns {Promise<Model>}
 */
export async function load(where, runtime) {
  const [model] = await timed('load', async () => {
    const { name, files, contents } = await verify(where, runtime);
    const content = (/** @type {string} */ path) => /** @type {Uint8Array} */ (contents.get(path));
    timing.mark('bundle');
    const wordpiece = wordpieces.load(content('vocab.txt'), `${where}vocab.txt`);
    timing.mark('vocabulary');
    const text = new TextDecoder().decode(content('contract.json'));
    const contract = contracts.load(text, wordpiece.vocab, `${where}contract.json`);
    if (contract.name !== name) {
      throw new BundleError(`${where}contract.json: $.name: found '${contract.name}', expected `
        + `'${name}' as in the manifest`);
    }
    timing.mark('contract');
    const session = await runtime.open(content(MODEL), files[MODEL].sha256).catch((error) => {
      throw new BundleError(`${MODEL}: found what onnxruntime cannot open (${line(error)})`);
    });
    timing.mark('session');
    const made = new Model(contract, wordpiece, session, files[MODEL].sha256);
    const logits = await made.run(wordpiece.encode('', contract)).catch((error) => {
      throw new BundleError(`${MODEL}: found a graph that does not run (${line(error)})`);
    });
    if (!logits.every(Number.isFinite)) {
      throw new BundleError(`${MODEL}: found logits that are no numbers, expected finite ones`);
    }
    timing.mark('warm-up');
    return made;
  });
  return model;
}

/** @param {unknown} error */
function line(error) {
  return String(error instanceof Error ? error.message || error.name : error).trim().split('\n')[0];
}

/**
 * Check the files of the manifest, read one after the other.
 *
 * @param {string} where
 * @param {Runtime} runtime
 */
async function verify(where, runtime) {
  const at = `${where}manifest.json`;
  const { content } = await runtime.read('manifest.json').catch(() => {
    throw new BundleError(`${at}: found no file, expected the manifest of a bundle`);
  });
  const { name, files } = parseManifest(content, at);
  /** @type {Map<string, Uint8Array>} */
  const contents = new Map();
  for (const path of runtime.paths ?? Object.keys(files)) {
    const found = await read(where, path, files[path], runtime);
    if (NEEDED.includes(path)) contents.set(path, found);
  }
  return { name, files, contents };
}

/**
 * @param {Uint8Array} content
 * @param {string} at
 * @returns {{ name: string, files: Record<string, Entry> }}
 */
function parseManifest(content, at) {
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
    for (const entry of Object.values(manifest.files)) {
      if (typeof entry.sha256 !== 'string' || typeof entry.size !== 'number') {
        throw new TypeError('a file without sha256 or size');
      }
    }
  } catch (error) {
    throw new BundleError(`${at}: found no readable manifest (${line(error)})`);
  }
  const { schema, name, files } = manifest;
  if (schema !== 1) {
    throw new BundleError(`${at}: $.schema: found ${JSON.stringify(schema)}, expected 1`);
  }
  for (const path of NEEDED) {
    if (!Object.hasOwn(files, path)) {
      throw new BundleError(`${at}: $.files: found no '${path}', expected its hash`);
    }
  }
  for (const path of Object.keys(files)) {
    if (path.startsWith('/') || path.split('/').includes('..') || path.includes('\0')) {
      throw new BundleError(
        `${at}: $.files: found ${JSON.stringify(path)}, expected a path inside the bundle`,
      );
    }
  }
  return { name, files };
}

/**
 * @param {string} where
 * @param {string} path
 * @param {Entry} expected
 * @param {Runtime} runtime
 */
async function read(where, path, expected, runtime) {
  const both = `sha256 ${expected.sha256} of ${expected.size} bytes`;
  const { content, sha256 } = await runtime.read(path, expected).catch((error) => {
    throw new BundleError(
      `${where}${path}: found no readable file (${line(error)}), no sha256, expected ${both}`,
    );
  });
  if (sha256 !== expected.sha256 || content.length !== expected.size) {
    throw new BundleError(
      `${where}${path}: found sha256 ${sha256} of ${content.length} bytes, expected ${both}`,
    );
  }
  return content;
}
