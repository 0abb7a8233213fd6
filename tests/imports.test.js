/** Who may import whom: the core has no dependency and touches nothing outside. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';

const OUTSIDE = {
  'node.js': ['node:', 'onnxruntime-node'],
  'cli.js': ['node:'],
  'body.js': ['node:'],
  'guard.js': ['node:'],
  'log.js': ['node:'],
  'startup.js': ['node:'],
  'stop.js': ['node:'],
  'function.js': [],
  'service.js': ['node:', '@google-cloud/functions-framework'],
  'playground.js': ['node:'],
  'web.js': [],
  'wasm.js': ['onnxruntime-web/ort-wasm-simd-threaded.mjs'],
};
const REACHES = /\b(fetch|XMLHttpRequest|WebSocket|process|Buffer|require|caches|indexedDB|localStorage)\b\s*[.(]/;

const imported = (text) =>
  [...text.matchAll(/^\s*(?:import|export)\b[^'"]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm)]
    .map(([, from, bare, dynamic]) => from ?? bare ?? dynamic);
/** What of a file's imports it may not have, and what it reaches for. */
const breaches = (name, text) => {
  const allowed = ['./', ...(OUTSIDE[name] ?? [])];
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  const found = imported(code).filter((from) => !allowed.some((start) => from.startsWith(start)));
  return OUTSIDE[name] ? found : [...found, ...(REACHES.exec(code)?.slice(1) ?? [])];
};

test('each file imports and reaches for only what it may', async () => {
  const names = (await readdir('js_runtime')).filter((name) => name.endsWith('.js'));
  assert.ok(names.length >= 17);
  for (const name of names) {
    assert.deepEqual(breaches(name, await readFile(`js_runtime/${name}`, 'utf8')), [], name);
  }
});

test('the rule can fail', () => {
  assert.deepEqual(breaches('model.js', "import x from 'node:fs';\nawait fetch('a');"), ['node:fs', 'fetch']);
  assert.deepEqual(breaches('node.js', "const { a } = await import('sharp');"), ['sharp']);
});
