/**
 * Starts the staged function with what V8 made of its code before. It is `index.cjs` there.
 *
 *     node index.cjs             serve
 *     node index.cjs --compile   start, answer a request of each kind, keep the compiled code, end
 *
 * Compiling takes a sixth of a start (benchmarks/LOG.md). What is kept fits one version of Node and its
 * flags, so a deployment makes it anew (`gcp-build` in package.json); where it does not fit, V8
 * refuses it and compiles as ever (https://nodejs.org/api/vm.html, `cachedData`), and the log says so.
 */
'use strict';
const { readFileSync, renameSync, writeFileSync, writeSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const CODE = join(__dirname, 'function.cjs');
const COMPILED = join(__dirname, 'function.cache');
const compiling = process.argv[2] === '--compile';

process.env.FUNCTION_TARGET ??= 'classify';
process.env.FUNCTION_SOURCE ??= __filename;

const code = readFileSync(CODE, 'utf8');
const script = new Script(`(function (exports, require, module, __filename) {${code}\n})`, {
  filename: CODE,
  cachedData: compiling ? undefined : read(COMPILED),
});
if (script.cachedDataRejected) {
  const message = `${COMPILED}: found what this Node did not compile, expected what \`node index.cjs `
    + `--compile\` makes with ${process.version}; starting without it`;
  writeSync(2, `${JSON.stringify({ severity: 'WARNING', message })}\n`);
}
if (compiling) {
  process.env.PORT = '0'; // any that is free
  require('node:diagnostics_channel').subscribe('tracing:net.server.listen:asyncEnd', compile);
}
script.runInThisContext()(exports, require, module, __filename);

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined; // never made
  }
}

/** @param {{ server: import('node:net').Server }} listening */
async function compile({ server }) {
  const { port } = server.address();
  const url = `http://localhost:${port}/classify`;
  const headers = { 'Content-Type': 'application/json', 'X-API-Key': process.env.API_KEY ?? '' };
  const body = '{"texts": ["butter", "poop cake"]}';
  for (const asked of [{ headers }, { headers, method: 'POST', body }]) {
    const { ok, status } = await fetch(asked.body ? url : `${url}?text=smoked%20paprika`, asked);
    if (!ok) throw new Error(`found status ${status}, expected an answer`);
  }
  // Under a temporary name first: a half of it would be refused for ever.
  writeFileSync(`${COMPILED}.part`, script.createCachedData());
  renameSync(`${COMPILED}.part`, COMPILED);
  process.exit(0);
}
