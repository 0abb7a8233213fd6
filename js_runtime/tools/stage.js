/**
 * A folder to deploy: the function and its server in one file, the linux-x64 binary, the bundle.
 *
 *     node js_runtime/tools/stage.js build/stage-node [bundle]
 *
 * `node index.mjs` starts it. One file because a cold start spends most of its time on finding and
 * reading modules; one binary because onnxruntime-node brings those of five systems, 288 MB.
 */
import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';

const MOST = 60e6; // bytes
const require = createRequire(import.meta.url);
const packageOf = (name) => dirname(require.resolve(`${name}/package.json`));

const [out, bundle = 'bundle'] = process.argv.slice(2);
if (!out) throw new Error('found no folder, expected `stage.js OUT [BUNDLE]`');

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
/**
 * An `import` of a module of Node fetches every export of it, lazy ones too, such as all of
 * webcrypto from node:crypto; a `require` does not.
 */
const lazyBuiltins = {
  name: 'lazy-builtins',
  setup(given) {
    given.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'import-statement' && path !== 'node:module' ? { path, namespace: 'builtin' } : null);
    given.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) =>
      ({ contents: `module.exports = require('${path}');` }));
  },
};

/** Tables of East Asian encodings, half of all code and never asked for: files of their own. */
const tablesApart = {
  name: 'tables-apart',
  setup(given) {
    given.onLoad({ filter: /iconv-lite.encodings.tables.\w+\.json$/ }, async ({ path }) =>
      ({ contents: await readFile(path), loader: 'copy' }));
  },
};

/** A large table as a string: V8 parses JSON faster than the same as code. */
const tablesParsed = {
  name: 'tables-parsed',
  setup(given) {
    given.onLoad({ filter: /mime-db.db\.json$/ }, async ({ path }) => {
      const text = JSON.stringify(JSON.parse(await readFile(path, 'utf8')));
      return { contents: `module.exports = JSON.parse(${JSON.stringify(text)});` };
    });
  },
};

// The framework's own start, beside what the function imports of it, so that both share a registry.
const framework = dirname(require.resolve('@google-cloud/functions-framework'));
const { metafile } = await build({
  metafile: true,
  stdin: {
    contents: `import './function.js'; import ${JSON.stringify(join(framework, 'main.js'))};`,
    resolveDir: 'js_runtime',
  },
  outfile: join(out, 'index.mjs'),
  banner: {
    js: `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
process.env.FUNCTION_TARGET ??= 'classify';
process.env.FUNCTION_SOURCE ??= new URL(import.meta.url).pathname;`,
  },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  minify: true,
  legalComments: 'linked',
  // Known, the path of the binary is a plain one that esbuild copies.
  define: { 'process.platform': '"linux"', 'process.arch': '"x64"' },
  loader: { '.node': 'copy' },
  assetNames: '[name]',
  plugins: [lazyBuiltins, tablesApart, tablesParsed],
  logLevel: 'error',
});
const binaries = join(packageOf('onnxruntime-node'), 'bin/napi-v6/linux/x64');
for (const name of await readdir(binaries)) {
  await copyFile(join(binaries, name), join(out, name));
  await chmod(join(out, name), 0o755);
}
await cp(bundle, join(out, 'bundle'), { recursive: true });
await writeFile(join(out, 'package.json'), `${JSON.stringify({
  private: true, type: 'module', engines: { node: '>=20' }, scripts: { start: 'node index.mjs' },
}, null, 2)}\n`);

/** What is in the one file, as a CycloneDX bill of materials (https://cyclonedx.org/docs/1.6/json/). */
const packages = new Set([packageOf('onnxruntime-node')]);
for (const input of Object.keys(metafile.inputs)) {
  const [folder] = /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(input) ?? [];
  if (folder) packages.add(resolve(folder));
}
const components = await Promise.all([...packages].sort().map(async (folder) => {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return { type: 'library', name, version, purl, licenses: [{ license: { name: license } }] };
}));
await writeFile(join(out, 'sbom.json'), `${JSON.stringify({
  bomFormat: 'CycloneDX', specVersion: '1.6', version: 1, components,
}, null, 1)}\n`);

let size = 0;
for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
  if (entry.isFile()) size += (await stat(join(entry.path, entry.name))).size;
}
const shown = `${(size / 1e6).toFixed(1)} MB`;
if (size > MOST) throw new Error(`${out}: found ${shown}, expected at most ${MOST / 1e6} MB`);
console.log(`${out}: ${shown}`);
