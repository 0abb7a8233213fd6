/** Spans by a clock that a test sets, so that times are exact. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timed, timing } from '../js_runtime/timing.js';

test('a span ends with a record of what it took', async (t) => {
  const records = [];
  let now = 0;
  t.mock.method(timing, 'clock', () => now);
  t.mock.method(timing, 'sink', (record) => records.push(record));
  const [found, ms] = await timed('outer', async () => {
    now = 2;
    return (await timed('inner', () => { now = 5; return 7; }))[0];
  });
  assert.deepEqual([found, ms], [7, 5]);
  assert.deepEqual(records, [
    { severity: 'INFO', message: 'inner 3.000 ms', span: 'inner', duration_ms: 3 },
    { severity: 'INFO', message: 'outer 5.000 ms', span: 'outer', duration_ms: 5 },
  ]);
});

test('a failure is recorded by its type, without its message', async (t) => {
  const records = [];
  t.mock.method(timing, 'sink', (record) => records.push(record));
  await assert.rejects(timed('x', () => { throw new RangeError('secret'); }), /secret/);
  assert.equal(records[0].severity, 'ERROR');
  assert.equal(records[0].error, 'RangeError');
  assert.ok(!JSON.stringify(records).includes('secret'));
});
