/** Spans, log lines and the timeline of a start by a clock that a test sets, so that times are exact. */
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { serverTiming, traceOf } from '../js_runtime/headers.js';
import { entry, human } from '../js_runtime/log.js';
import { processAge, Timeline } from '../js_runtime/startup.js';
import { timed, timing } from '../js_runtime/timing.js';

/** Records go to `sink` until the test ends. */
function take(t, sink) {
  timing.sink = sink;
  t.after(() => { timing.sink = null; });
}

const [TRACE, SPAN] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];

test('a span ends with a record of what it took', async (t) => {
  const records = [];
  let now = 0;
  t.mock.method(timing, 'clock', () => now);
  take(t, (record) => records.push(record));
  const [found, ms] = await timed('outer', async () => {
    now = 2;
    return (await timed('inner', () => { now = 5; return 7; }))[0];
  });
  assert.deepEqual([found, ms], [7, 5]);
  assert.deepEqual(records, [
    { severity: 'INFO', span: 'inner', duration_ms: 3, parent: 'outer' },
    { severity: 'INFO', span: 'outer', duration_ms: 5 },
  ]);
});

test('a failure is recorded by its type, without its message', async (t) => {
  const records = [];
  take(t, (record) => records.push(record));
  await assert.rejects(timed('x', () => { throw new RangeError('secret'); }), /secret/);
  assert.equal(records[0].severity, 'ERROR');
  assert.equal(records[0].error, 'RangeError');
  assert.ok(!JSON.stringify(records).includes('secret'));
});

test('nothing takes records at first, and times are known still', async () => {
  assert.equal(timing.sink, null);
  assert.equal((await timed('x', () => 7))[0], 7);
});

test('spans that overlap know their own parents and traces', async (t) => {
  const records = [];
  take(t, (record, trace) => records.push([record.span, record.parent, trace?.id]));
  const before = timing.context;
  t.after(() => { timing.context = before; });
  timing.context = new AsyncLocalStorage();
  const gates = [gate(), gate()];
  const request = (n) => timed(`request ${n}`, async () => {
    await gates[n].promise;
    await timed('infer', async () => {});
  }, { trace: { id: String(n) } });
  const both = [request(0), request(1)];
  gates[1].resolve();
  await both[1];
  gates[0].resolve();
  await both[0];
  assert.deepEqual(records, [
    ['infer', 'request 1', '1'], ['request 1', undefined, '1'],
    ['infer', 'request 0', '0'], ['request 0', undefined, '0'],
  ]);
});

function gate() {
  let resolve;
  const promise = new Promise((done) => { resolve = done; });
  return { promise, resolve };
}

test('without a context for them, spans behind an await have no parent rather than a wrong one', async (t) => {
  const records = [];
  take(t, (record) => records.push([record.span, record.parent]));
  const outer = timed('outer', async () => { await null; await timed('inner', () => {}); });
  await timed('other', () => {});
  await outer;
  assert.deepEqual(records.sort(), [['inner', undefined], ['other', undefined], ['outer', undefined]]);
});

test('the first answer ends the timeline', async (t) => {
  const records = [];
  let now = 1_000;
  t.mock.method(timing, 'clock', () => now);
  take(t, (record, trace) => records.push({ ...record, ...trace }));
  const timeline = new Timeline(now);
  for (const [stage, ms] of [['interpreter', 20], ['function', 5], ['session', 570], ['function', 5]]) {
    now += ms;
    timeline.mark(stage);
  }
  now += 100;
  const [, ms] = await timeline.invocation('request', () => { now += 3; }, { id: TRACE });
  timeline.mark('session');
  await timeline.invocation('request', () => { now += 4; });
  assert.equal(ms, 3);
  assert.deepEqual(records, [
    { severity: 'INFO', span: 'request', duration_ms: 3, labels: { 'faas.coldstart': 'true' }, id: TRACE },
    { severity: 'INFO', message: 'cold start 703.000 ms', span: 'startup', duration_ms: 703,
      stages_ms: { interpreter: 20, function: 10, session: 570, 'first request': 100, 'first answer': 3 },
      'faas.coldstart': true, 'faas.init_duration': 0.6, 'faas.invoke_duration': 0.003, id: TRACE },
    { severity: 'INFO', span: 'request', duration_ms: 4, labels: { 'faas.coldstart': 'false' } },
  ]);
});

test('a first request that fails ends the timeline too', async (t) => {
  const records = [];
  take(t, (record) => records.push(record.span));
  const timeline = new Timeline(0);
  await assert.rejects(timeline.invocation('request', () => { throw new Error(); }));
  assert.deepEqual(records, ['request', 'startup']);
});

test('the age of the process is that of its kernel, or of Node where no file tells', () => {
  const stat = join(tmpdir(), `stat-${process.pid}`);
  const since = (ms) => {
    const ticks = Math.round((Number(process.hrtime.bigint()) / 1e6 - performance.now() - ms) / 10);
    writeFileSync(stat, `7 (a ) name) S ${'0 '.repeat(18)}${ticks} 0`);
    return processAge(stat) - performance.now();
  };
  assert.ok(Math.abs(since(500) - 500) < 100);
  assert.ok(Math.abs(since(-5_000)) < 100); // the clock of the file runs ahead: the machine slept
  writeFileSync(stat, 'nonsense');
  for (const path of [stat, '/nowhere']) assert.ok(Math.abs(processAge(path) - performance.now()) < 100);
});

test('a line carries a message and the trace of its request', (t) => {
  const record = { severity: 'INFO', span: 'one', duration_ms: 1.5, parent: 'outer', error: 'E' };
  const shown = { message: 'one 1.500 ms', ...record };
  assert.deepEqual(entry(record), shown);
  assert.equal(human(record), 'one 1.500 ms in outer: E');
  assert.equal(human({ severity: 'INFO', message: 'GET 200' }), 'GET 200');
  const at = 'logging.googleapis.com/trace';
  assert.deepEqual(entry(record, { id: TRACE }), { ...shown, [at]: TRACE });
  process.env.GOOGLE_CLOUD_PROJECT = 'kitchen';
  t.after(() => { delete process.env.GOOGLE_CLOUD_PROJECT; });
  assert.deepEqual(entry(record, { id: TRACE, span: SPAN }), {
    ...shown, [at]: `projects/kitchen/traces/${TRACE}`, 'logging.googleapis.com/spanId': SPAN,
  });
});

test('traceparent, or else the older header, names the trace', () => {
  const cloud = (value) => traceOf({ 'x-cloud-trace-context': value });
  assert.deepEqual(traceOf({ traceparent: `00-${TRACE}-${SPAN}-01` }), { id: TRACE, span: SPAN });
  assert.deepEqual(traceOf({ traceparent: `01-${TRACE}-${SPAN}-01-later` }), { id: TRACE, span: SPAN });
  assert.deepEqual(cloud(`${TRACE.toUpperCase()}/1;o=1`), { id: TRACE, span: '0000000000000001' });
  assert.deepEqual(cloud(`${TRACE}/${2n ** 64n - 1n}`), { id: TRACE, span: 'f'.repeat(16) });
  for (const value of [`${TRACE}/${2n ** 64n}`, `${TRACE}/0;o=0`, TRACE]) {
    assert.deepEqual(cloud(value), { id: TRACE });
  }
  assert.deepEqual(traceOf({ traceparent: '00-broken', 'x-cloud-trace-context': TRACE }), { id: TRACE });
});

test('malformed trace headers are ignored', () => {
  const zero = '0'.repeat(32);
  const parents = ['', 'x', `00-${TRACE}-${SPAN}`, `00-${TRACE}-${SPAN}-01-more`, `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`, `00-${zero}-${SPAN}-01`, `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}-01\n`, `00-${TRACE.slice(1)}-${SPAN}-01`, `0-${TRACE}-${SPAN}-01`, ['a', 'b']];
  for (const traceparent of parents) assert.equal(traceOf({ traceparent }), undefined);
  const clouds = ['', 'x', `${TRACE}/`, `${TRACE}/x;o=1`, `${TRACE};o=`, zero, `${TRACE}/1;o=1\n`,
    `${TRACE}/${'1'.repeat(21)}`, TRACE.slice(1), `${TRACE}/\u0661`];
  for (const value of clouds) assert.equal(traceOf({ 'x-cloud-trace-context': value }), undefined);
});

test('durations as a header', () => {
  assert.equal(serverTiming({}), '');
  assert.equal(serverTiming({ encode: 0.0412, infer: 12 }), 'encode;dur=0.041, infer;dur=12.000');
});
