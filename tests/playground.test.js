/** The playground in a real headless Chromium: typing, switching, without a network, corrupted. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { load } from 'whippedup-classify/node';
import { begin, end, folder, open, reloads, shown, skip, status, type } from './browser.js';

const MODEL = join(folder, 'playground/bundle/onnx/model_quantized.onnx');

before(() => skip || begin());
after(end);

test('a phrase typed is answered by wasm, then by the function with the same labels', { skip }, () =>
  open(async (page, errors) => {
    await shown(page, 'browser', 'smoked paprika');
    for (const text of ['oat milk', 'poop cake', 'gelatin']) {
      await type(page, text);
      const mine = await shown(page, 'browser', text);
      const [[expected]] = await (await load()).answer([text]);
      assert.deepEqual(mine, {
        ingredient: [expected.ingredient.label],
        source: expected.source ? [expected.source.label] : [],
        categories: expected.categories.map((one) => one.label),
      });
      await page.click('input[value=function]');
      assert.deepEqual(await shown(page, 'function', text), mine);
      await page.click('input[value=browser]');
      await shown(page, 'browser', text);
    }
    assert.match(await page.$eval('#browser-ms', (place) => place.textContent), /^\d+\.\d ms$/);
    assert.match(await page.$eval('#function-ms', (place) => place.textContent), /^\d+\.\d ms$/);
    const pieces = await page.$$eval('#pieces li', (items) => items.map((item) => [item.textContent, item.className]));
    assert.deepEqual(pieces.slice(-4), [['>', 'control'], ['+', 'control'], ['|', 'control'], ['[SEP]', 'special']]);
    assert.deepEqual(errors, []);
    if (process.env.SCREENSHOT) {
      await page.setViewport({ width: 720, height: 940 });
      await type(page, 'smoked paprika');
      await shown(page, 'browser', 'smoked paprika');
      await page.screenshot({ path: process.env.SCREENSHOT });
    }
  }));

test('the first load is at most 20 MB', { skip }, () => {
  const playground = join(folder, 'playground');
  const size = readdirSync(playground, { recursive: true })
    .map((name) => statSync(join(playground, name)))
    .reduce((sum, one) => sum + (one.isFile() ? one.size : 0), 0);
  assert.ok(size <= 20e6, `${size} bytes`);
});

test('a reload with the server gone answers from the cache', { skip }, (t) => open(async (page) => {
  const times = await reloads(page, 2);
  t.diagnostic(`ready after ${times} ms`); // benchmarks/javascript.js measures it
  assert.deepEqual((await shown(page, 'browser', 'smoked paprika')).source, ['plant']);
  assert.equal(await page.$eval('#function-ms', (place) => place.textContent), 'no answer');
}));

test('memory kept for the next visit that is none is made anew', { skip }, () => open(async (page) => {
  const kept = (content) => page.evaluate(async (replaced) => {
    const cache = await caches.open('whippedup-classify');
    const find = async () => (await cache.keys()).find(({ url }) => url.includes('/memory?format='));
    while (!(await find())) await new Promise((done) => { setTimeout(done, 20); });
    const key = await find();
    if (replaced !== undefined) await cache.put(key, new Response(replaced));
    return (await (await cache.match(key)).arrayBuffer()).byteLength;
  }, content);
  await shown(page, 'browser', 'smoked paprika');
  const size = await kept();
  assert.ok(size > 5e6 && size < 20e6, `${size} bytes`);
  assert.equal(await kept('broken'), 'broken'.length);
  await page.reload();
  await shown(page, 'browser', 'smoked paprika');
  while ((await kept()) === 'broken'.length) await new Promise((done) => { setTimeout(done, 20); });
  assert.equal(await kept(), size);
}));

test('many lines become a CSV', { skip }, () => open(async (page) => {
  await shown(page, 'browser', 'smoked paprika');
  await page.evaluate(() => {
    window.made = new Promise((done) => { URL.createObjectURL = (blob) => { done(blob.text()); return 'data:,'; }; });
  });
  await page.type('#lines', 'oat milk\n\n"poop", cake\n=1+1');
  await page.click('#download');
  const lines = (await page.evaluate(() => window.made)).trim().split('\r\n');
  assert.equal(lines[0], 'text,ingredient,ingredient_score,source,source_score,categories,categories_score');
  const [[{ categories }]] = await (await load()).answer(['oat milk']);
  const labels = categories.map((one) => one.label).join('|');
  const scores = categories.map(() => '0\\.\\d+').join('\\|');
  assert.match(lines[1], new RegExp(`^oat milk,ingredient,0\\.\\d+,plant,0\\.\\d+,${labels.replaceAll('|', '\\|')},${scores}$`));
  assert.match(lines[2], /^"""poop"", cake",/);
  assert.match(lines[3], /^'=1\+1,/);
  assert.equal(lines.length, 4);
}));

test('a corrupt model is a clear message with both hashes', { skip }, async () => {
  const whole = readFileSync(MODEL);
  const harmed = Buffer.from(whole);
  harmed[harmed.length >> 1] ^= 1;
  writeFileSync(MODEL, harmed);
  try {
    await open(async (page) => {
      await page.waitForSelector('#status.error', { timeout: 30_000 });
      assert.match(await status(page),
        /model_quantized\.onnx: found sha256 [0-9a-f]{64} of \d+ bytes, expected sha256 [0-9a-f]{64}/);
    });
  } finally {
    writeFileSync(MODEL, whole);
  }
});
