/**
 * A folder to deploy: the function and its server in one file and as V8 compiles it, the linux-x64
 * binary, the bundle.
 *
 *     node js_runtime/tools/stage.js build/stage-node [bundle]
 *
 * `node index.cjs` starts it. One file because a cold start spends most of its time on finding and
 * reading modules; one binary because onnxruntime-node brings those of five systems, 288 MB.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const MOST = 60e6; // bytes
const require = createRequire(import.meta.url);
const packageOf = (name) => dirname(require.resolve(`${name}/package.json`));

const [target, bundle = 'bundle'] = process.argv.slice(2);
if (!target) throw new Error('found no folder, expected `stage.js OUT [BUNDLE]`');

const out = `${target}.part`; // until all of it is there
process.on('exit', () => rmSync(out, { recursive: true, force: true }));
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

/** Tables of East Asian encodings, hardly ever asked for: files of their own. */
const tablesApart = {
  name: 'tables-apart',
  setup(given) {
    given.onLoad({ filter: /iconv-lite.encodings.tables.\w+\.json$/ }, async ({ path }) =>
      ({ contents: await readFile(path), loader: 'copy' }));
  },
};

const metafiles = [];
const common = {
  metafile: true,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minify: true,
  legalComments: 'linked',
  loader: { '.node': 'copy' },
  assetNames: '[name]',
  logLevel: 'error',
};

/**
 * Packages that the framework requires when it starts, for bodies and files that never reach it here
 * (body.js): encodings, media types, nested query strings. Each is a file of its own that is read when
 * it is first asked; in the one file they would be half of what every start reads and runs.
 */
const LATER = ['iconv-lite', 'mime-types', 'qs', 'send'];
const LATER_MODULE = fileURLToPath(new URL('later.cjs', import.meta.url));
const later = {
  name: 'later',
  setup(given) {
    given.onResolve({ filter: new RegExp(`^(${LATER.join('|')})$`) }, async ({ path, resolveDir, kind, pluginData }) => {
      if (pluginData === 'found') return null;
      const found = await given.resolve(path, { resolveDir, kind, pluginData: 'found' });
      return { path: found.path, namespace: 'later', pluginData: `${path}.cjs` };
    });
    given.onResolve({ filter: /./, namespace: 'later' }, ({ path }) => ({ path, external: path !== LATER_MODULE }));
    given.onLoad({ filter: /./, namespace: 'later' }, async ({ path, pluginData: name }) => {
      const { metafile } = await build({
        ...common, entryPoints: [path], outfile: join(out, name), plugins: [tablesApart],
      });
      metafiles.push(metafile);
      return { contents: `
        module.exports = require(${JSON.stringify(LATER_MODULE)})(() => require('./${name}'));` };
    });
  },
};

// The framework's own start, beside what the function imports of it, so that both share a registry.
const framework = dirname(require.resolve('@google-cloud/functions-framework'));
const { metafile } = await build({
  ...common,
  stdin: {
    contents: `
      require('./service.js').start().then(() => require(${JSON.stringify(join(framework, 'main.js'))}));`,
    resolveDir: 'js_runtime',
  },
  outfile: join(out, 'function.cjs'),
  banner: { js: "const address = require('node:url').pathToFileURL(__filename).href;" },
  define: {
    'import.meta.url': 'address',
    // Known, the path of the binary is a plain one that esbuild copies.
    'process.platform': '"linux"',
    'process.arch': '"x64"',
  },
  plugins: [later],
});
metafiles.push(metafile);
const binaries = join(packageOf('onnxruntime-node'), 'bin/napi-v6/linux/x64');
for (const name of await readdir(binaries)) {
  await copyFile(join(binaries, name), join(out, name));
  await chmod(join(out, name), 0o755);
}
await cp(bundle, join(out, 'bundle'), { recursive: true });
await copyFile(new URL('launch.cjs', import.meta.url), join(out, 'index.cjs'));
await writeFile(join(out, 'package.json'), `${JSON.stringify({
  private: true,
  engines: { node: '>=20' },
  // Google's buildpacks run the first on the Node that will run the second.
  scripts: { 'gcp-build': 'node index.cjs --compile', start: 'node index.cjs' },
}, null, 2)}\n`);

/** What is in the one file, as a CycloneDX bill of materials (https://cyclonedx.org/docs/1.6/json/). */
const packages = new Set([packageOf('onnxruntime-node')]);
for (const input of metafiles.flatMap(({ inputs }) => Object.keys(inputs))) {
  const [folder] = /^(?!later:).*node_modules\/(@[^/]+\/)?[^/]+/.exec(input) ?? [];
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

// With the bundle that came along and nobody's key.
execFileSync(process.execPath, ['index.cjs', '--compile'], {
  cwd: out, env: { PATH: process.env.PATH }, stdio: ['ignore', 'ignore', 'pipe'],
});

let size = 0;
for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
  if (entry.isFile()) size += (await stat(join(entry.path, entry.name))).size;
}
const shown = `${(size / 1e6).toFixed(1)} MB`;
if (size > MOST) throw new Error(`${target}: found ${shown}, expected at most ${MOST / 1e6} MB`);
await rm(target, { recursive: true, force: true });
await rename(out, target);
console.log(`${target}: ${shown}`);
