/**
 * How soon does a page answer that a visitor opens again, and how fast from then on?
 *
 *     node benchmarks/browser.js
 *
 * The playground in headless Chromium: loads from its cache, without a network, until the first
 * answer; then new phrases in WebAssembly, one after the other.
 */
import { readdirSync, statSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { begin, end, folder, open, phrases, reloads, skip } from '../tests/browser.js';

const OUT = 'benchmarks/results/browser.json';
const [LOADS, PHRASES] = [30, 1_000];

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.round((sorted.length * p) / 100))];
const figures = (name, times) => {
  const sorted = [...times].sort((a, b) => a - b);
  return { name, n: sorted.length, p50_ms: percentile(sorted, 50), p95_ms: percentile(sorted, 95) };
};

if (skip) throw new Error(skip);
await begin();
try {
  const results = [
    figures('a load from the cache, until the first answer', await open((page) => reloads(page, LOADS))),
    figures('a new phrase', await open((page) => phrases(page, PHRASES))),
  ];
  const page = join(folder, 'playground');
  const bytes = readdirSync(page, { recursive: true, withFileTypes: true })
    .reduce((sum, one) => sum + (one.isFile() ? statSync(join(one.parentPath, one.name)).size : 0), 0);
  for (const one of results) console.log(`${one.name}: p50 ${one.p50_ms.toFixed(2)} ms, p95 ${one.p95_ms.toFixed(2)} ms`);
  console.log(`the first load: ${(bytes / 1e6).toFixed(1)} MB`);
  writeFileSync(`${OUT}.tmp`, `${JSON.stringify({ first_load_bytes: bytes, results }, null, 1)}\n`);
  renameSync(`${OUT}.tmp`, OUT);
} finally {
  await end();
}
