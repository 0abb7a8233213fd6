import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { wrap } from '../js_runtime/model.js';
import { Wasm } from '../js_runtime/wasm.js';

const asset = (name) => new URL(`../node_modules/onnxruntime-web/dist/${name}`, import.meta.url);
const binary = await readFile(asset('ort-wasm-simd-threaded.wasm'));
const graph = await readFile('bundle/onnx/model_quantized.onnx');
const IDS = [[101, 1028, 1009, 1064, 102], [101, 2000, 3000, 4000, 1028, 1009, 1064, 102],
  Array.from({ length: 64 }, (_, n) => 400 * n)];

const fresh = await Wasm.open(binary, graph);
const frozen = fresh.freeze();

test('the logits are those of the package\'s own wrapper, bit for bit', async () => {
  env.wasm.numThreads = 1;
  env.wasm.wasmBinary = binary.buffer.slice(binary.byteOffset, binary.byteOffset + binary.length);
  const session = await InferenceSession.create(graph, { graphOptimizationLevel: 'disabled' });
  const reference = wrap(session, Tensor);
  assert.equal(fresh.session.columns, reference.columns);
  for (const ids of IDS) assert.deepEqual(await fresh.session.run(ids), await reference.run(ids));
});

test('thawed, it gives the same without the graph', async () => {
  const thawed = await Wasm.open(binary, new Uint8Array(), frozen);
  assert.equal(thawed.thawed, true);
  assert.equal(thawed.session.columns, fresh.session.columns);
  for (let n = 0; n < 3; n++) {
    for (const ids of IDS) assert.deepEqual(thawed.run(ids), fresh.run(ids));
  }
});

test('what was frozen holds no zeros that need not be', () => {
  assert.ok(frozen.length < 16e6, `${frozen.length} bytes`);
});

for (const [name, broken] of [
  ['empty', new Uint8Array()],
  ['cut', frozen.slice(0, 1e6)],
  ['of other logits', (() => {
    const text = Buffer.from(frozen).indexOf('"expected":[') + '"expected":['.length;
    const changed = frozen.slice();
    changed[text + 3] ^= 1; // a digit
    return changed;
  })()],
  ['of zeros', (() => {
    const length = new DataView(frozen.buffer).getUint32(0) + 4;
    return frozen.slice().fill(0, length);
  })()],
]) {
  test(`frozen memory that is ${name} is not used`, async () => {
    const opened = await Wasm.open(binary, graph, broken);
    assert.equal(opened.thawed, false);
    assert.deepEqual(opened.run(IDS[1]), fresh.run(IDS[1]));
  });
}

test('a binary that does not compile is said, and nobody waits for it', async () => {
  await assert.rejects(Wasm.open(binary.subarray(0, 99), graph), WebAssembly.CompileError);
});

test('what onnxruntime refuses is said in its words', async () => {
  await assert.rejects(Wasm.open(binary, new Uint8Array(9)), /protobuf/i);
  assert.throws(() => fresh.run([99_999_999]), /indices element out of data bounds/);
  assert.deepEqual(fresh.run(IDS[0]), (await Wasm.open(binary, graph)).run(IDS[0]));
});
