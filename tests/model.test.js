/** Loading a bundle: every file is checked, and the shipped one agrees with its golden vectors. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { BundleError, Cache, load, timing } from 'whippedup-classify';
import * as node from 'whippedup-classify/node';
import { bagOfWords, pets, WORDS } from './pets.js';

const MODEL = 'onnx/model_quantized.onnx';
const bytes = (text) => new TextEncoder().encode(text);
const sha256 = (content) => createHash('sha256').update(content).digest('hex');

/** The files of a bundle; `change` may alter them before the manifest is written. */
function files(change = () => {}) {
  const content = {
    [MODEL]: bytes('a graph'),
    'contract.json': bytes(JSON.stringify(pets())),
    'vocab.txt': bytes(`${WORDS.join('\n')}\n`),
  };
  change(content);
  const listed = Object.fromEntries(Object.entries(content)
    .map(([path, one]) => [path, { sha256: sha256(one), size: one.length }]));
  return { ...content, 'manifest.json': manifest({ files: listed }) };
}

const manifest = (data) => bytes(JSON.stringify({ schema: 1, name: 'pets', files: {}, ...data }));

/** A runtime that reads from memory. */
function memory(content, session = bagOfWords()) {
  return {
    open: async () => session,
    async read(path) {
      if (!content[path]) throw new Error('ENOENT');
      return { content: content[path], sha256: sha256(content[path]) };
    },
  };
}

const refuses = (content, message, session) =>
  assert.rejects(load('pets/', memory(content, session)), (error) => {
    assert.ok(error instanceof BundleError, error.stack);
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'));
    return true;
  });

test('answers known beforehand, in spans', async (t) => {
  const records = [];
  timing.sink = (record) => records.push(record);
  t.after(() => { timing.sink = null; });
  const model = await load('pets/', memory(files()));
  const [answers, stages] = await model.answer(['grey CATS', 'zebra']);
  assert.deepEqual(answers, [
    { text: 'grey CATS', animal: { label: 'yes', score: 0.982 },
      kinds: [{ label: 'cat', score: 0.982 }, { label: 'grey', score: 0.982 }] },
    { text: 'zebra', animal: { label: 'no', score: 0.982 }, kinds: [] },
  ]);
  assert.deepEqual(Object.keys(stages), ['encode', 'infer', 'decode']);
  assert.deepEqual(records.map((record) => record.span), ['load', 'encode', 'infer', 'decode']);
  assert.equal(model.id, 'pets-0.1.0');
});

test('cached answers are the same and need no run', async () => {
  const session = bagOfWords();
  const model = await load('pets/', memory(files(), session));
  const [first] = await model.answer(['cat']);
  const before = session.calls;
  assert.deepEqual((await model.answer(['CAT ', 'cat']))[0].map((one) => one.kinds),
    [first[0].kinds, first[0].kinds]);
  assert.equal(session.calls, before);
});

test('the cache forgets what was unused for longest', () => {
  const cache = new Cache(2);
  const [one, two, three] = [1, 2, 3].map((n) => Float64Array.of(n));
  cache.put([1], one);
  cache.put([2], two);
  cache.get([1]);
  cache.put([3], three);
  assert.deepEqual([[1], [2], [3]].map((ids) => cache.get(ids)), [one, undefined, three]);
});

for (const path of [MODEL, 'contract.json', 'vocab.txt']) {
  test(`a harmed ${path} is named with both hashes`, async () => {
    const whole = files();
    const expected = `expected sha256 ${sha256(whole[path])} of ${whole[path].length} bytes`;
    const altered = Uint8Array.from(whole[path], (byte, n) => (n === 3 ? byte ^ 1 : byte));
    await refuses({ ...whole, [path]: altered }, new RegExp(`^pets/${path}: found sha256 .* ${expected}$`));
    await refuses({ ...whole, [path]: whole[path].slice(1) }, new RegExp(`found sha256 .* ${expected}$`));
    await refuses({ ...whole, [path]: undefined },
      new RegExp(`^pets/${path}: found no readable file \\(ENOENT\\), no sha256, ${expected}$`));
  });
}

test('a bad manifest is named', async () => {
  await refuses({}, /^pets\/manifest.json: found no file/);
  await refuses({ 'manifest.json': bytes('{') }, /found no readable manifest/);
  await refuses({ 'manifest.json': bytes('[]') }, /found no readable manifest/);
  await refuses({ 'manifest.json': manifest({ schema: 2 }) }, /\$\.schema: found 2, expected 1/);
  await refuses({ 'manifest.json': manifest({ files: { a: 1 } }) }, /found no readable manifest/);
  await refuses({ 'manifest.json': manifest({}) }, /found no 'onnx\/model_quantized.onnx'/);
  for (const path of ['../secret', '/secret', 'a\0b']) {
    const content = files((all) => { all[path] = bytes('x'); });
    await refuses(content, /expected a path inside the bundle/);
  }
});

test('a model that does not belong to the contract, or does not run, stops the start', async () => {
  await refuses(files(), /found 4 logit columns, expected one for each of the 5/,
    { ...bagOfWords(), columns: 4 });
  const run = async () => { throw new Error('index out of range\nat node 1'); };
  await refuses(files(), /found a graph that does not run \(index out of range\)/, { columns: 5, run });
  const nan = async () => new Float32Array(20).fill(NaN);
  await refuses(files(), /found logits that are no numbers/, { columns: 5, run: nan });
  const renamed = files((all) => { all['contract.json'] = bytes(JSON.stringify({ ...pets(), name: 'x' })); });
  await refuses(renamed, /found 'x', expected 'pets' as in the manifest/);
});

test('what is no graph is one line', async () => {
  await assert.rejects(node.openSession(bytes('not a graph')), /./);
  const content = files();
  await assert.rejects(load('pets/', { ...memory(content), open: node.openSession }),
    /found what onnxruntime cannot open \([^\n]+\)$/);
});

test('golden vectors: ids exactly, probabilities and labels within what int8 costs', async () => {
  const model = await node.load('bundle');
  const golden = JSON.parse(await readFile('bundle/golden.json', 'utf8'));
  assert.ok(golden.phrases.length >= 100 && golden.tolerance < 0.2);
  for (const { text, ids, probabilities, answer } of golden.phrases) {
    assert.deepEqual(model.wordpiece.encode(text, model.contract), ids, text);
    const [found] = await model.infer([ids]);
    const worst = Math.max(...probabilities.map((p, n) => Math.abs(p - found[n])));
    assert.ok(worst <= golden.tolerance, `${text}: ${worst}`);
    const [[ours]] = await model.answer([text]);
    for (const task of model.contract.tasks) {
      const p = probabilities.slice(task.start, task.stop);
      if (task.kind === 'single') {
        const [second, first] = [...p].sort((a, b) => a - b).slice(-2);
        if (first - second > 2 * golden.tolerance && answer[task.name] && ours[task.name]) {
          assert.equal(ours[task.name].label, answer[task.name], text);
        }
      } else if (ours[model.contract.tasks[0].name].label === answer[model.contract.tasks[0].name]
        && p.every((x, n) => Math.abs(x - task.thresholds[n]) > golden.tolerance)) {
        assert.deepEqual(new Set(ours[task.name].map((one) => one.label)), new Set(answer[task.name]), text);
      }
    }
  }
});

test('an answer does not depend on its neighbours', async () => {
  const model = await node.load('bundle');
  const texts = ['smoked paprika', '2 cups of very finely chopped flat-leaf parsley', 'poop cake'];
  const encoded = texts.map((text) => model.wordpiece.encode(text, model.contract));
  const together = await model.infer(encoded);
  model.cache = new Cache(8);
  for (const [n, ids] of encoded.entries()) assert.deepEqual(await model.infer([ids]), [together[n]]);
});
