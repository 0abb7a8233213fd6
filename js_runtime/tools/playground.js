/**
 * The playground as a folder of files for both functions to serve: page, worker, wasm, model.
 *
 *     node js_runtime/tools/playground.js build/playground [bundle]
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { NEEDED } from '../model.js';

const WASM = 'ort-wasm-simd-threaded.wasm';
const [out, bundle = 'bundle'] = process.argv.slice(2);
if (!out) throw new Error('found no folder, expected `playground.js OUT [BUNDLE]`');

const page = 'js_runtime/playground';
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await build({
  entryPoints: [join(page, 'page.js'), join(page, 'worker.js')],
  outdir: out,
  bundle: true,
  external: ['module', 'worker_threads'], // what onnxruntime imports where it finds itself in Node
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'linked',
  logLevel: 'error',
});
for (const name of ['index.html', 'page.css', 'service.js']) await cp(join(page, name), join(out, name));
const wasm = await readFile(fileURLToPath(import.meta.resolve(`onnxruntime-web/${WASM}`)));
await writeFile(join(out, WASM), wasm);
const sha256 = createHash('sha256').update(wasm).digest('hex');
await writeFile(join(out, 'assets.json'), JSON.stringify({ wasm: { name: WASM, sha256, size: wasm.length } }));
for (const path of ['manifest.json', ...NEEDED]) {
  await mkdir(dirname(join(out, 'bundle', path)), { recursive: true });
  await cp(join(bundle, path), join(out, 'bundle', path));
}
