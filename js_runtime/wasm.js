/**
 * onnxruntime in WebAssembly by its C functions, and its memory kept for the next visit.
 *
 * Two thirds of a second visit went by while onnxruntime registered its operators and read the
 * graph, in functions that run once and that the browser compiles when they are first called. All
 * they leave behind lies in the module's memory. So that is frozen before the first question, and
 * laid over the memory of a fresh instance on the next visit: pre-initialization, as Wizer does it
 * (https://github.com/bytecodealliance/wizer), by the browser itself.
 *
 * @typedef {import('./model.js').Session} Session
 *
 * @typedef {object} State where in the memory things are
 * @property {number} session
 * @property {[name: number, fill: number | null][]} inputs what each is filled with, null for ids
 * @property {number} output the name of the first output
 * @property {number} columns of its logits
 */
// @ts-expect-error the package describes its wrapper alone
import factory from 'onnxruntime-web/ort-wasm-simd-threaded.mjs';

/** Of what is frozen: another one where State, the options of a session or the order change. */
export const FORMAT = 1;
const [FLOAT, INT64, CPU] = [1, 7, 1]; // of a tensor: its type, or where it lies
const FATAL = 4; // what is logged; of errors the caller hears
const PAGE = 65_536; // bytes that a WebAssembly memory grows by
const BLOCK = 4_096; // bytes: a block of zeros is not kept
/** @type {Record<string, number>} */
const FILL = { attention_mask: 1, token_type_ids: 0 };
const PROBE = [0, 1, 2, 3]; // ids of any vocabulary

/** An instance of onnxruntime and one graph in it. Throws Error where it refuses something. */
export class Wasm {
  /** @type {any} */
  #module;
  /** @type {WebAssembly.Memory} */
  #memory;
  /** @type {State} */
  #state;

  /**
   * @param {any} module
   * @param {WebAssembly.Memory} memory
   * @param {State} state
   * @param {boolean} thawed
   */
  constructor(module, memory, state, thawed) {
    [this.#module, this.#memory, this.#state] = [module, memory, state];
    this.thawed = thawed;
  }

  /**
   * A graph on one thread, by what `freeze` gave of the same binary and graph where there is such.
   *
   * @param {Uint8Array} binary `ort-wasm-simd-threaded.wasm`
   * @param {Uint8Array} graph
   * @param {Uint8Array} [frozen]
   */
  static async open(binary, graph, frozen) {
    if (frozen) {
      const thawed = thaw(...await start(binary), frozen);
      if (thawed) return thawed;
    }
    const [module, memory] = await start(binary);
    return new Wasm(module, memory, create(module, memory, graph), false);
  }

  /** @returns {Session} */
  get session() {
    return { columns: this.#state.columns, run: async (ids) => this.run(ids) };
  }

  /**
   * The logits of one text of T ids, T rows one after the other.
   *
   * @param {readonly number[]} ids
   */
  run(ids) {
    const [module, { session, inputs, output, columns }] = [this.#module, this.#state];
    const [count, rows] = [inputs.length, ids.length];
    const stack = module.stackSave();
    const tensors = [];
    try {
      const [dims, given, names, results, asked] = [8, 4 * count, 4 * count, 4, 4]
        .map((size) => module.stackAlloc(size));
      const content = module.stackAlloc(count * rows * 8 + 8) + 7 & -8;
      this.#words(dims, [1, rows]);
      for (const [n, [name, fill]] of inputs.entries()) {
        const at = content + n * rows * 8;
        const values = new BigInt64Array(this.#memory.buffer, at, rows);
        if (fill === null) values.set(ids.map(BigInt));
        else values.fill(BigInt(fill));
        tensors.push(made(module, module._OrtCreateTensor(INT64, at, rows * 8, dims, 2, CPU)));
        this.#words(given + 4 * n, [tensors[n]]);
        this.#words(names + 4 * n, [name]);
      }
      this.#words(results, [0]);
      this.#words(asked, [output]);
      check(module, module._OrtRun(session, names, given, count, asked, 1, results, 0));
      const [result] = words(this.#memory, results, 1);
      tensors.push(result);
      return this.#content(result, rows * columns);
    } finally {
      for (const tensor of tensors) module._OrtReleaseTensor(tensor);
      module.stackRestore(stack);
    }
  }

  /**
   * A copy of a tensor of `expected` float32.
   *
   * @param {number} tensor
   * @param {number} expected
   */
  #content(tensor, expected) {
    const module = this.#module;
    const at = module.stackAlloc(16);
    check(module, module._OrtGetTensorData(tensor, at, at + 4, at + 8, at + 12));
    const [type, data, dims, count] = words(this.#memory, at, 4);
    const found = words(this.#memory, dims, count).reduce((a, b) => a * b, 1);
    module._OrtFree(dims);
    if (type !== FLOAT || found !== expected) {
      throw new Error(`found ${found} logits of type ${type}, expected ${expected} of float32`);
    }
    return new Float32Array(this.#memory.buffer, data, found).slice();
  }

  /**
   * @param {number} at
   * @param {number[]} values
   */
  #words(at, values) {
    new Uint32Array(this.#memory.buffer, at, values.length).set(values);
  }

  /** Where things are and all of the memory but its zeros, for `open`; and what a run must give. */
  freeze() {
    const expected = [...this.run(PROBE)];
    const memory = new Uint8Array(this.#memory.buffer);
    const runs = used(this.#memory.buffer);
    const head = new TextEncoder().encode(JSON.stringify({ state: this.#state, expected, runs, size: memory.length }));
    const kept = runs.reduce((sum, [start, stop]) => sum + stop - start, 0);
    const frozen = new Uint8Array(4 + head.length + kept);
    new DataView(frozen.buffer).setUint32(0, head.length);
    frozen.set(head, 4);
    let at = 4 + head.length;
    for (const [start, stop] of runs) {
      frozen.set(memory.subarray(start, stop), at);
      at += stop - start;
    }
    return frozen;
  }
}

/**
 * A fresh instance and its memory.
 *
 * @param {Uint8Array} binary
 * @returns {Promise<[any, WebAssembly.Memory]>}
 */
function start(binary) {
  return new Promise((resolve, reject) => {
    /** @type {any} */
    let memory;
    factory({
      numThreads: 1, // more would need cross-origin isolation
      /** @param {any} imports @param {(instance: WebAssembly.Instance, module: WebAssembly.Module) => void} done */
      instantiateWasm(imports, done) {
        memory = Object.values(imports).flatMap(Object.values)
          .find((one) => one instanceof WebAssembly.Memory);
        // The factory never hears of a failure here (emscripten issue 23038).
        WebAssembly.instantiate(/** @type {BufferSource} */ (binary), imports)
          .then((compiled) => done(compiled.instance, compiled.module)).catch(reject);
      },
    }).then((/** @type {any} */ module) => resolve([module, memory]), reject);
  });
}

/**
 * `frozen` laid over the memory of a fresh instance; undefined where it does not run as it did.
 *
 * @param {any} module
 * @param {WebAssembly.Memory} memory
 * @param {Uint8Array} frozen
 */
function thaw(module, memory, frozen) {
  try {
    const length = new DataView(frozen.buffer, frozen.byteOffset).getUint32(0);
    const { state, expected, runs, size } = JSON.parse(new TextDecoder().decode(frozen.subarray(4, 4 + length)));
    memory.grow(Math.max(0, size - memory.buffer.byteLength) / PAGE);
    const whole = new Uint8Array(memory.buffer);
    let [at, end] = [4 + length, 0];
    for (const [start, stop] of runs) {
      whole.fill(0, end, start);
      whole.set(frozen.subarray(at, at + stop - start), start);
      [at, end] = [at + stop - start, stop];
    }
    whole.fill(0, end);
    const thawed = new Wasm(module, memory, state, true);
    const found = thawed.run(PROBE);
    return found.every((logit, n) => logit === expected[n]) ? thawed : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {any} module
 * @param {WebAssembly.Memory} memory
 * @param {Uint8Array} graph
 * @returns {State}
 */
function create(module, memory, graph) {
  check(module, module._OrtInit(1, FATAL));
  const text = (/** @type {string} */ value) => {
    const size = module.lengthBytesUTF8(value) + 1;
    const at = made(module, module._malloc(size));
    module.stringToUTF8(value, at, size);
    return at;
  };
  // No optimisation, since export did it; with arena and memory pattern, one thread, no profile.
  const options = made(
    module, module._OrtCreateSessionOptions(0, 1, 1, 0, 0, 0, text('classify'), FATAL, 0, 0),
  );
  const at = made(module, module._malloc(graph.length));
  new Uint8Array(memory.buffer).set(graph, at);
  const session = module._OrtCreateSession(at, graph.length, options);
  new Uint8Array(memory.buffer).fill(0, at, at + graph.length); // zeros need not be frozen
  module._free(at);
  module._OrtReleaseSessionOptions(options);
  made(module, session);
  const stack = module.stackSave();
  const pair = module.stackAlloc(8);
  check(module, module._OrtGetInputOutputCount(session, pair, pair + 4));
  const [count] = words(memory, pair, 1);
  const name = (/** @type {number} */ index) => {
    check(module, module._OrtGetInputOutputMetadata(session, index, pair, pair + 4));
    return words(memory, pair, 2);
  };
  const names = Array.from({ length: count }, (_, n) => name(n)[0]);
  /** @type {State['inputs']} */
  const inputs = names.map((at) => [at, FILL[module.UTF8ToString(at)] ?? null]);
  const [output, shape] = name(count);
  const [, dims] = words(memory, shape, 2);
  const columns = words(memory, shape + 8, 2 * dims).at(-1) ?? 0;
  module.stackRestore(stack);
  return { session, inputs, output, columns };
}

/**
 * The stretches of a memory that hold anything, [start, stop) each.
 *
 * @param {ArrayBufferLike} buffer
 */
function used(buffer) {
  const each = BLOCK / 8;
  const whole = new BigUint64Array(buffer);
  /** @type {[number, number][]} */
  const runs = [];
  for (let at = 0; at < whole.length; at += each) {
    if (!whole.subarray(at, at + each).some(Boolean)) continue;
    const last = runs.at(-1);
    if (last && last[1] === at * 8) last[1] += BLOCK;
    else runs.push([at * 8, at * 8 + BLOCK]);
  }
  return runs;
}

/**
 * @param {WebAssembly.Memory} memory
 * @param {number} at
 * @param {number} count
 */
function words(memory, at, count) {
  return [...new Uint32Array(memory.buffer, at, count)];
}

/**
 * What was made, if it was.
 *
 * @param {any} module
 * @param {number} handle
 */
function made(module, handle) {
  if (!handle) check(module, 1);
  return handle;
}

/**
 * @param {any} module
 * @param {number} code
 */
function check(module, code) {
  if (!code) return;
  const stack = module.stackSave();
  const at = module.stackAlloc(8);
  module._OrtGetLastError(at, at + 4);
  const message = module.UTF8ToString(module.getValue(at + 4, '*'));
  module.stackRestore(stack);
  throw new Error(message || `code ${code}`);
}
