/** Strict JSON and what counts as blank; the conformance cases cover the rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, problem } from '../js_runtime/request.js';

const read = (text) => parse(new TextEncoder().encode(text));

test('a key twice is refused wherever it is, however it is written', () => {
  for (const text of ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "\\u0061" : 2}}]', '{"": 1, "": 2}',
    '{"a": {"a": 1}, "b": "a", "a" : 2}']) {
    assert.throws(() => read(text), /key twice/, text);
  }
  for (const text of ['{"a": {"a": 1}, "b": ["a", "a"], "\\"a": "a\\": {"}', '[{"a": 1}, {"a": 1}]']) {
    assert.deepEqual(read(text), JSON.parse(text));
  }
});

test('nesting has an end', () => {
  assert.throws(() => read('['.repeat(901) + ']'.repeat(901)), /nested too deeply/);
  assert.ok(read('['.repeat(900) + ']'.repeat(900)));
});

test('a long string with escapes is read in time', () => {
  const text = JSON.stringify({ text: '\\"{[:'.repeat(10_000) });
  const began = performance.now();
  assert.deepEqual(read(text), JSON.parse(text));
  assert.ok(performance.now() - began < 1_000);
});

test('blank is what Python strips', () => {
  for (const text of ['', ' \t\n\u00a0', '\x1c\x1d\x1e\x1f\x85', '\u3000\u2028']) assert.match(problem(text), /empty/);
  for (const text of ['\ufeff', '\u200b', '\0', 'x ']) assert.equal(problem(text), undefined);
  assert.match(problem('😀'.repeat(1_001)), /found 1001 characters/);
  assert.equal(problem('😀'.repeat(1_000)), undefined);
});
