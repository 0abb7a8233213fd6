/** What `make stage-node` deploys: small, lean, and as quick to start as an empty function. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import later from '../js_runtime/tools/later.cjs';

const [ROUNDS, MOST] = [9, 40];
const folder = mkdtempSync(join(tmpdir(), 'stage-'));
const staged = join(folder, 'staged');
const empty = join(folder, 'empty.mjs');
let said;

before(() => {
  said = execFileSync('node', ['js_runtime/tools/stage.js', staged], { encoding: 'utf8' });
  writeFileSync(empty, "export const classify = (asked, response) => response.send('{}');\n");
});
after(() => rmSync(folder, { recursive: true }));

test('the bill of materials names what is inside', () => {
  const { bomFormat, components } = JSON.parse(readFileSync(join(staged, 'sbom.json'), 'utf8'));
  const names = components.map(({ name }) => name);
  assert.equal(bomFormat, 'CycloneDX');
  for (const name of ['onnxruntime-node', '@google-cloud/functions-framework', 'express']) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.includes('puppeteer-core') && !names.includes('esbuild'));
  assert.ok(components.every(({ purl }) => /^pkg:npm\/[^@]+@\d+\.\d+\.\d+/.test(purl)));
});

/** What `work` makes of a started server's first answer, the ms from spawn to it, its process and port. */
async function start(command, work, stderr = 'ignore') {
  const port = await freePort();
  const began = performance.now();
  const child = spawn('node', command, { env: { ...process.env, PORT: port }, stdio: ['ignore', 'ignore', stderr] });
  try {
    while (!await listens(port)) {
      assert.ok(child.exitCode === null && performance.now() - began < 30_000, 'it did not start');
      await setTimeout(3);
    }
    const answer = await ask(port, '/classify?text=smoked+paprika');
    return await work(answer, performance.now() - began, child.pid, port);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

/** Whether somebody listens there; lighter than a request, which would slow down what it measures. */
function listens(port) {
  return new Promise((done) => {
    const socket = connect(port, 'localhost', () => { socket.destroy(); done(true); });
    socket.on('error', () => done(false));
  });
}

function ask(port, path) {
  return new Promise((done, fail) => {
    get({ port, path }, async (answer) => done(JSON.parse((await answer.toArray()).join(''))))
      .on('error', fail);
  });
}

async function freePort() {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((done) => { server.close(done); });
  return port;
}

const entry = () => [join(staged, 'index.cjs')];
const framework = ['node_modules/@google-cloud/functions-framework/build/src/main.js',
  '--target', 'classify', '--source', empty];

test('the folder is at most 60 MB and runs where nothing else is', async () => {
  assert.ok(Number(/: ([\d.]+) MB/.exec(said)[1]) <= 60, said);
  const moved = join(folder, 'moved');
  cpSync(staged, moved, { recursive: true });
  const [ours] = await start([join(moved, 'index.cjs')], (answer) => answer.results);
  assert.equal(ours.source.label, 'plant');
});

test('what is read late is whole, and no request asks it', async () => {
  const read = (name) => createRequire(import.meta.url)(join(staged, `${name}.cjs`));
  assert.equal(read('iconv-lite').decode(Buffer.from([0x83, 0x6f]), 'shift_jis'), 'バ');
  assert.equal(read('mime-types').lookup('x.json'), 'application/json');
  assert.deepEqual(read('qs').parse('a[b]=1'), { a: { b: '1' } });
  assert.equal(typeof read('send'), 'function');
  const without = join(folder, 'without');
  cpSync(staged, without, { recursive: true });
  for (const name of ['iconv-lite', 'mime-types', 'qs', 'send']) rmSync(join(without, `${name}.cjs`));
  const statuses = await start([join(without, 'index.cjs')], async (_, __, ___, port) => {
    const status = async (path, type, body) =>
      (await fetch(`http://localhost:${port}${path}`, body && { method: 'POST', headers: { 'Content-Type': type }, body })).status;
    return [
      await status('/', 'application/json; charset=shift_jis', '{"texts": ["butter"]}'),
      await status('/', 'application/x-www-form-urlencoded', 'texts[0]=butter'),
      await status('/classify?text=butter&a[b]=1'),
      await status('/favicon.ico'),
    ];
  });
  assert.deepEqual(statuses, [200, 415, 422, 404]);
});

test('a module that is read later is read once, when it is asked', () => {
  let times = 0;
  const made = later(() => {
    times += 1;
    return Object.assign(function twice(n) { return 2 * n * (this?.by ?? 1); }, { colour: 'red' });
  });
  assert.equal(times, 0);
  assert.equal(made(2), 4);
  assert.equal(made.call({ by: 5 }, 2), 20);
  assert.equal(made.colour, 'red');
  assert.equal(times, 1);
});

test('compiled code of another Node is refused, and the function starts', async () => {
  const other = join(folder, 'other');
  cpSync(staged, other, { recursive: true });
  const cache = join(other, 'function.cache');
  const log = join(folder, 'log');
  const said = async () => {
    const [ours] = await start([join(other, 'index.cjs')], (answer) => answer.results, openSync(log, 'w'));
    assert.equal(ours.source.label, 'plant');
    return readFileSync(log, 'utf8');
  };
  const ours = readFileSync(cache);
  const newer = Buffer.from(ours);
  newer[4] ^= 1; // in the hash of V8's version
  assert.doesNotMatch(await said(), /WARNING/);
  for (const content of [newer, ours.subarray(0, 1000), 'nothing that V8 knows']) {
    writeFileSync(cache, content);
    assert.match(await said(), /"WARNING".*function\.cache: found what this Node did not compile/);
  }
  execFileSync('node', ['index.cjs', '--compile'], { cwd: other, stdio: 'pipe' });
  assert.doesNotMatch(await said(), /WARNING/);
});

test('a bundle that does not load is refused before there is a folder', () => {
  const broken = join(folder, 'broken');
  cpSync('bundle', broken, { recursive: true });
  writeFileSync(join(broken, 'vocab.txt'), 'nothing');
  assert.throws(
    () => execFileSync('node', ['js_runtime/tools/stage.js', join(folder, 'y'), resolve(broken)], { stdio: 'pipe' }),
    /vocab\.txt: found sha256 /,
  );
  for (const path of ['y', 'y.part']) assert.ok(!existsSync(join(folder, path)), path);
});

test('a folder over its limit is refused', () => {
  const bundle = join(folder, 'large');
  cpSync('bundle', bundle, { recursive: true });
  writeFileSync(join(bundle, 'more'), Buffer.alloc(20e6));
  assert.throws(
    () => execFileSync('node', ['js_runtime/tools/stage.js', join(folder, 'x'), resolve(bundle)], { stdio: 'pipe' }),
    /found 7\d\.\d MB, expected at most 60 MB/,
  );
});

test('resident memory is at most 130 MB', async () => {
  const kilobytes = await start(entry(), (_, __, pid) =>
    Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]));
  assert.ok(kilobytes <= 130_000, `${kilobytes} kB`);
});

test('a cold start takes at most 1.25 times that of an empty function', async (t) => {
  const [ours, empties] = [[], []];
  let ratio = Infinity;
  // Interleaved, so that what else the machine does hits both; it only ever adds, so the quickest
  // count, and where it does much it takes more rounds to see them.
  for (let n = 0; n < ROUNDS || (ratio > 1.25 && n < MOST); n++) {
    await start(framework, (_, ms) => empties.push(ms));
    await start(entry(), (answer, ms) => {
      assert.equal(answer.results[0].source.label, 'plant');
      ours.push(ms);
    });
    ratio = Math.min(...ours) / Math.min(...empties);
  }
  t.diagnostic(`${ours.length} rounds: ${Math.min(...ours).toFixed(0)} ms, ${ratio.toFixed(2)} times the empty function`);
  assert.ok(ratio <= 1.25, `${ratio}`);
});
