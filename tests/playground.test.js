/** The playground in a real headless Chromium: typing, switching, without a network, corrupted. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';
import { load } from 'whippedup-classify/node';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const skip = CHROMIUM ? false : 'needs chromium (apt-get install chromium)';
const folder = mkdtempSync(join(tmpdir(), 'playground-'));
const RELOADS = 5;
const MODEL = join(folder, 'playground/bundle/onnx/model_quantized.onnx');
let browser;
let server;
let port;

before(async () => {
  if (skip) return;
  execFileSync('node', ['js_runtime/tools/stage.js', folder]);
  execFileSync('node', ['js_runtime/tools/playground.js', join(folder, 'playground')]);
  port = await freePort();
  await serve();
  browser = await puppeteer.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
});
after(async () => {
  await browser?.close();
  server?.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

async function freePort() {
  const free = createServer().listen(0);
  await once(free, 'listening');
  const found = free.address().port;
  await new Promise((done) => { free.close(done); });
  return found;
}

async function serve() {
  const env = { ...process.env, PORT: port, PLAYGROUND: '1' };
  server = spawn('node', [join(folder, 'index.mjs')], { env, stdio: 'ignore' });
  while (!(await fetch(`http://localhost:${port}/ready`).catch(() => null))?.ok) await setTimeout(20);
}

/** A page of its own storage, with every error of its console. */
async function open(work) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()); });
  try {
    await page.goto(`http://localhost:${port}/`);
    return await work(page, errors);
  } finally {
    await context.close();
  }
}

/** The labels that the page gives, by task, once it shows `text` as answered by `where`. */
async function shown(page, where, text) {
  await page.waitForFunction((expected) => document.body.dataset.shown === expected,
    { timeout: 30_000, polling: 20 }, `${where}: ${text}`);
  return page.$$eval('.task', (tasks) => Object.fromEntries(tasks.map((task) =>
    [task.dataset.task, [...task.querySelectorAll('.given')].map((bar) => bar.dataset.label)])));
}

async function type(page, text) {
  await page.$eval('#text', (field) => { field.value = ''; });
  await page.type('#text', text);
}

const status = (page) => page.$eval('#status', (place) => place.textContent);

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

test('a reload with the server gone answers from the cache, soon', { skip }, (t) =>
  open(async (page, errors) => {
    await shown(page, 'browser', 'smoked paprika');
    await page.evaluate(() => navigator.serviceWorker.ready);
    server.kill('SIGKILL');
    await once(server, 'exit');
    try {
      const times = [];
      for (let n = 0; n < RELOADS; n++) {
        await page.reload();
        await shown(page, 'browser', 'smoked paprika');
        times.push(Number(/ready in (\d+) ms/.exec(await status(page))[1]));
      }
      const labels = await shown(page, 'browser', 'smoked paprika');
      assert.deepEqual(labels.source, ['plant']);
      assert.equal(await page.$eval('#function-ms', (place) => place.textContent), 'no answer');
      t.diagnostic(`ready after ${times} ms`);
      // The quickest, and twice what an idle machine is to reach: what else it does only ever adds.
      assert.ok(Math.min(...times) <= 600, `${times} ms`);
    } finally {
      await serve();
    }
  }));

test('a phrase that is new takes less than a millisecond', { skip }, (t) => open(async (page) => {
  await shown(page, 'browser', 'smoked paprika');
  const median = await page.evaluate(async (count) => {
    const worker = new Worker('/playground/worker.js', { type: 'module' });
    const ask = (question) => new Promise((done, fail) => {
      worker.onmessage = ({ data }) => (data.error ? fail(new Error(data.error)) : done(data.answer));
      worker.postMessage({ id: 0, ...question });
    });
    const { wasm } = await (await fetch('/playground/assets.json')).json();
    const at = (path) => new URL(path, location.href).href;
    await ask({ load: { bundle: at('/playground/bundle/'), wasm: { ...wasm, address: at(`/playground/${wasm.name}`) } } });
    const times = [];
    for (let n = 0; n < count; n++) times.push((await ask({ texts: [`${n} cups of flour`] })).ms);
    return times.sort((a, b) => a - b)[count >> 1];
  }, 400);
  t.diagnostic(`p50 ${median.toFixed(2)} ms`);
  assert.ok(median < 1, `${median} ms`);
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
  assert.match(lines[1], /^oat milk,ingredient,0\.\d+,plant,0\.\d+,beverage\|grain,/);
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
