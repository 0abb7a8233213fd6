/**
 * The bundle in the browser: files over the network or from the Cache API, onnxruntime on one
 * thread of WebAssembly. Meant for a Web Worker, so that a page never waits.
 *
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('./model.js').Entry} Entry
 */
import * as models from './model.js';
import { FORMAT, Wasm } from './wasm.js';

const CACHE = 'whippedup-classify';

/**
 * The bundle at `address`, which ends in a slash, warmed up by one inference. Only what it needs is
 * fetched, once: files are kept by the manifest's hashes, and only those that have them.
 *
 * Throws BundleError, ContractError or VocabularyError where something is wrong with it.
 *
 * @param {string} address
 * @param {{ address: string } & Entry} wasm `ort-wasm-simd-threaded.wasm` of the onnxruntime-web
 *   that this is bundled with, on the page's own origin: a model that runs offline can wait for
 *   nobody's CDN
 * @returns {Promise<Model>}
 */
export async function load(address, wasm) {
  if (!globalThis.caches || !globalThis.crypto?.subtle) {
    throw new models.BundleError('found no Cache API, expected a page over https or from localhost');
  }
  const cache = await caches.open(CACHE);
  // Beside the bundle's own files; whether it came is asked where it is needed.
  const binary = kept(cache, wasm.address, wasm);
  binary.catch(() => {});
  return models.load(address, {
    paths: models.NEEDED,
    read: (path, expected) =>
      expected ? kept(cache, address + path, expected) : latest(cache, address + path),
    async open(model, fingerprint) {
      const { content, sha256 } = await binary;
      if (sha256 !== wasm.sha256) {
        throw new Error(`${wasm.address}: found sha256 ${sha256}, expected ${wasm.sha256}`);
      }
      const key = `${address}memory?format=${FORMAT}&wasm=${sha256}&model=${fingerprint}`;
      const frozen = await (await cache.match(key))?.arrayBuffer();
      const opened = await Wasm.open(content, model, frozen && new Uint8Array(frozen));
      // Frozen at once, before anybody's text is in it; whether it can be kept, nobody waits for.
      if (!opened.thawed) freeze(cache, key, opened).catch(() => {});
      return opened.session;
    },
  });
}

/**
 * @param {Cache} cache
 * @param {string} key
 * @param {Wasm} opened
 */
async function freeze(cache, key, opened) {
  await keep(cache, key, opened.freeze());
}

/**
 * A file whose hash is known: from the cache, where only what was checked ever came in, else from
 * the network. Older versions of it are forgotten.
 *
 * @param {Cache} cache
 * @param {string} address
 * @param {Entry} expected
 */
async function kept(cache, address, expected) {
  const key = `${address}?sha256=${expected.sha256}`;
  const known = await cache.match(key);
  if (known) return { content: new Uint8Array(await known.arrayBuffer()), sha256: expected.sha256 };
  const found = await fetched(address);
  if (found.sha256 === expected.sha256) await keep(cache, key, found.content);
  return found;
}

/**
 * Keep `content` under `key`, alone of all that differ in their search.
 *
 * @param {Cache} cache
 * @param {string} key
 * @param {Uint8Array} content
 */
async function keep(cache, key, content) {
  await cache.delete(key, { ignoreSearch: true });
  await cache.put(key, new Response(/** @type {BodyInit} */ (content)));
}

/**
 * A file that may have changed: from the network, and without one as it was last.
 *
 * @param {Cache} cache
 * @param {string} address
 */
async function latest(cache, address) {
  try {
    const found = await fetched(address);
    await cache.put(address, new Response(/** @type {BodyInit} */ (found.content)));
    return found;
  } catch (error) {
    const known = await cache.match(address);
    if (!known) throw error;
    const content = new Uint8Array(await known.arrayBuffer());
    return { content, sha256: await hash(content) };
  }
}

/** @param {string} address */
async function fetched(address) {
  const answer = await fetch(address, { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const content = new Uint8Array(await answer.arrayBuffer());
  return { content, sha256: await hash(content) };
}

/** @param {Uint8Array} content */
async function hash(content) {
  const digest = await crypto.subtle.digest('SHA-256', /** @type {BufferSource} */ (content));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
