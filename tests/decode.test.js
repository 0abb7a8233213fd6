/** From logits to answers; tests/test_javascript.py holds the sums against Python's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from '../js_runtime/contract.js';
import { decode, probabilities, sigmoid, softmax } from '../js_runtime/decode.js';
import { pets, VOCAB } from './pets.js';

const PETS = parse(pets(), VOCAB);

test('only the control rows and own columns count', () => {
  const logits = new Float32Array(6 * 5).fill(NaN);
  logits.set([2, 0], 3 * 5);
  logits.set([0, 0, 0], 4 * 5 + 2);
  const found = probabilities(logits, PETS);
  assert.deepEqual([...found.slice(2)], [0.5, 0.5, 0.5]);
  assert.ok(Math.abs(found[0] - 1 / (1 + Math.exp(-2))) < 1e-15);
});

test('extreme logits do not overflow', () => {
  const values = Float64Array.of(1e30, -1e30, 0, 1e30, -1e30, -800);
  softmax(values, 0, 3, 1);
  sigmoid(values, 3, 6);
  assert.deepEqual([...values], [1, 0, 0, 1, 0, 0]);
});

test('an answer sorts labels by score and respects thresholds', () => {
  const data = pets();
  data.tasks[1].thresholds = [0.3, 0.5, 0.9];
  assert.deepEqual(decode([0.9, 0.1, 0.4, 0.8, 0.85], parse(data, VOCAB)), {
    animal: { label: 'yes', score: 0.9 },
    kinds: [{ label: 'dog', score: 0.8 }, { label: 'cat', score: 0.4 }],
  });
});

test('an answer below its threshold abstains', () => {
  const data = pets();
  data.tasks[0].threshold = 0.75;
  const contract = parse(data, VOCAB);
  assert.deepEqual(decode([0.74, 0.26, 0.9, 0, 0], contract), {
    animal: { label: 'yes', score: 0.74, abstain: true },
    kinds: [{ label: 'cat', score: 0.9 }],
  });
  assert.deepEqual(decode([0.75, 0.25, 0.9, 0, 0], contract).animal, { label: 'yes', score: 0.75 });
});

test('nothing is said where the condition does not hold', () => {
  assert.deepEqual(decode([0.2, 0.8, 0.9, 0.9, 0.9], PETS, true), {
    animal: { label: 'no', score: 0.8 },
    kinds: [],
    scores: { animal: { yes: 0.2, no: 0.8 }, kinds: { cat: 0.9, dog: 0.9, grey: 0.9 } },
  });
});

test('a conditional single task is null and so is what hangs on it', () => {
  const data = pets();
  const size = { name: 'size', control: '>', kind: 'single', labels: ['big', 'small'] };
  data.tasks.splice(1, 0, { ...size, only_if: { animal: 'yes' } });
  data.tasks[2].only_if = { size: 'big' };
  const contract = parse(data, VOCAB);
  assert.deepEqual(decode([0.1, 0.9, 0.9, 0.1, 1, 1, 1], contract),
    { animal: { label: 'no', score: 0.9 }, size: null, kinds: [] });
  const yes = decode([0.9, 0.1, 0.9, 0.1, 1, 0, 0], contract);
  assert.equal(yes.size.label, 'big');
  assert.equal(yes.kinds[0].label, 'cat');
});

test('a tie goes to the first label', () => {
  const answer = decode([0.5, 0.5, 0.7, 0.7, 0.7], PETS);
  assert.equal(answer.animal.label, 'yes');
  assert.deepEqual(answer.kinds.map((kind) => kind.label), ['cat', 'dog', 'grey']);
});
