/** Who may ask, and what a log says of a text, as tests/test_guard.py has it of the Python twin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { GuardError, read } from '../js_runtime/guard.js';

test('nothing is wanted and nobody allowed by default', () => {
  const guard = read({});
  guard.admit({});
  assert.deepEqual(guard.cors({ origin: 'https://app.example' }), {});
  const asked = { origin: '', 'access-control-request-method': 'POST' };
  assert.equal(guard.preflight(asked, ['POST']), undefined);
});

test('an origin that no browser sends is refused', () => {
  for (const origin of ['*', 'null', 'app.example', 'https://app.example/', 'https://App.example', 'file://x']) {
    assert.throws(() => read({ ALLOWED_ORIGINS: `https://app.example,${origin}` }),
      (error) => error instanceof GuardError && /^ALLOWED_ORIGINS: found .*expected an origin/.test(error.message));
  }
  const { origins } = read({ ALLOWED_ORIGINS: ' http://localhost:5173 , https://[::1]:8443,' });
  assert.deepEqual([...origins], ['http://localhost:5173', 'https://[::1]:8443']);
});

test('a key that no header carries is refused unseen', () => {
  for (const key of ['a\n', ' a', 'a ', 'naïve', 'a\tb']) {
    assert.throws(() => read({ API_KEY: key }),
      { message: 'API_KEY: found a key that no header carries, expected visible ASCII' });
  }
});

test('keys of any length are compared, and none is shown', () => {
  const guard = read({ API_KEY: 'correct horse', LOG_KEY: 'battery' });
  guard.admit({ 'x-api-key': 'correct horse' });
  for (const wrong of [undefined, '', 'c', 'correct horse ', 'x'.repeat(10_000), '\u00e9', '\udce9']) {
    assert.throws(() => guard.admit({ 'x-api-key': wrong }), (problem) => problem.status === 401
      && problem.headers['WWW-Authenticate'] === 'X-API-Key' && !/correct/.test(problem.document()));
  }
  assert.doesNotMatch(inspect(guard, { depth: 9, showHidden: true }), /correct horse|battery/);
});

test('the digest in the log needs the key, and is that of Python', () => {
  const [one, same, other] = ['a', 'a', 'b'].map((key) => read({ LOG_KEY: key }));
  assert.equal(one.digest(['cat']), same.digest(['cat']));
  assert.notEqual(one.digest(['cat']), one.digest(['dog']));
  assert.notEqual(one.digest(['cat']), other.digest(['cat']));
  assert.notEqual(one.digest(['cat', 'dog']), one.digest(['catdog']));
  assert.equal(one.digest(['cat', 'é']), 'a64767cff2d13d7d');
  assert.notEqual(read({}).digest(['cat']), read({}).digest(['cat']));
});
