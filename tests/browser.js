/** The playground of the staged Node function in a real headless Chromium, for tests and benchmarks. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
/** Why the page cannot be tested here, or false. */
export const skip = CHROMIUM ? false : 'needs chromium (apt-get install chromium)';
export const folder = mkdtempSync(join(tmpdir(), 'playground-'));
let browser;
let server;
let port;

/** Stage the function and its page, start both it and the browser. */
export async function begin() {
  execFileSync('node', ['js_runtime/tools/stage.js', folder]);
  execFileSync('node', ['js_runtime/tools/playground.js', join(folder, 'playground')]);
  port = await freePort();
  await serve();
  browser = await puppeteer.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
}

export async function end() {
  await browser?.close();
  server?.kill('SIGKILL');
  rmSync(folder, { recursive: true });
}

async function freePort() {
  const free = createServer().listen(0);
  await once(free, 'listening');
  const found = free.address().port;
  await new Promise((done) => { free.close(done); });
  return found;
}

async function serve() {
  const env = { ...process.env, PORT: port, PLAYGROUND: '1' };
  server = spawn('node', [join(folder, 'index.cjs')], { env, stdio: 'ignore' });
  while (!(await fetch(`http://localhost:${port}/ready`).catch(() => null))?.ok) await setTimeout(20);
}

/** `work` while there is no server. */
export async function alone(work) {
  server.kill('SIGKILL');
  await once(server, 'exit');
  try {
    return await work();
  } finally {
    await serve();
  }
}

/** A page of its own storage, with every error of its console. */
export async function open(work) {
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
export async function shown(page, where, text) {
  await page.waitForFunction((expected) => document.body.dataset.shown === expected,
    { timeout: 30_000, polling: 20 }, `${where}: ${text}`);
  return page.$$eval('.task', (tasks) => Object.fromEntries(tasks.map((task) =>
    [task.dataset.task, [...task.querySelectorAll('.given')].map((bar) => bar.dataset.label)])));
}

export async function type(page, text) {
  await page.$eval('#text', (field) => { field.value = ''; });
  await page.type('#text', text);
}

export const status = (page) => page.$eval('#status', (place) => place.textContent);

/** The ms after which the page was ready, `count` times, of loads without a network. */
export async function reloads(page, count) {
  await shown(page, 'browser', 'smoked paprika');
  await page.evaluate(() => navigator.serviceWorker.ready);
  return alone(async () => {
    const times = [];
    for (let n = 0; n < count; n++) {
      await page.reload();
      await shown(page, 'browser', 'smoked paprika');
      times.push(Number(/ready in (\d+) ms/.exec(await status(page))[1]));
    }
    return times;
  });
}

/** The ms that each of `count` new phrases took in a worker of the page's own. */
export async function phrases(page, count) {
  await shown(page, 'browser', 'smoked paprika');
  return page.evaluate(async (wanted) => {
    const worker = new Worker('/playground/worker.js', { type: 'module' });
    const ask = (question) => new Promise((done, fail) => {
      worker.onmessage = ({ data }) => (data.error ? fail(new Error(data.error)) : done(data.answer));
      worker.postMessage({ id: 0, ...question });
    });
    const { wasm } = await (await fetch('/playground/assets.json')).json();
    const at = (path) => new URL(path, location.href).href;
    await ask({ load: { bundle: at('/playground/bundle/'), wasm: { ...wasm, address: at(`/playground/${wasm.name}`) } } });
    const times = [];
    for (let n = 0; n < wanted; n++) times.push((await ask({ texts: [`${n} cups of flour`] })).ms);
    return times;
  }, count);
}
