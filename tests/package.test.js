/** `npm pack`: only what is needed, and enough for a project that has nothing else. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'package-'));
const npm = (cwd, ...command) => execFileSync('npm', [...command, '--json'], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
let packed;

before(() => {
  // A copy, for packing puts a bundle and types beside the code, and other tests run meanwhile.
  const copy = join(folder, 'js_runtime');
  cpSync('js_runtime', copy, { recursive: true });
  cpSync('bundle', join(folder, 'bundle'), { recursive: true });
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  const output = npm(copy, 'pack', '--pack-destination', folder);
  [packed] = Object.values(JSON.parse(output.slice(output.search(/^[[{]/m))));
});
after(() => rmSync(folder, { recursive: true }));

test('the package ships code, types and the model, nothing of the repository', () => {
  const paths = packed.files.map((file) => file.path);
  for (const name of ['index', 'wordpiece', 'node', 'web', 'function']) {
    assert.ok(paths.includes(`${name}.js`) && paths.includes(`types/${name}.d.ts`), name);
  }
  assert.ok(paths.includes('bundle/manifest.json'));
  const other = paths.filter((path) => !/^(package\.json|README\.md|[a-z]+\.js|types\/[a-z]+\.d\.ts|bundle\/.+)$/.test(path));
  assert.deepEqual(other, []);
  assert.ok(packed.size <= 6e6, `${packed.size} bytes`);
});

test('a fresh project runs the example, the command, and reads the types', () => {
  const project = join(folder, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{"private": true, "type": "module"}');
  const inside = { cwd: project, encoding: 'utf8' };
  execFileSync('npm', ['install', '--offline', '--no-audit', join(folder, packed.filename)], { ...inside, stdio: 'pipe' });
  // The peer that the README installs, without a network.
  for (const name of ['onnxruntime-node', 'onnxruntime-common', '@types/node']) {
    const place = join(project, 'node_modules', name);
    mkdirSync(join(place, '..'), { recursive: true });
    symlinkSync(resolve('node_modules', name), place);
  }
  writeFileSync(join(project, 'example.js'), `import { load } from 'whippedup-classify/node';
const model = await load();
console.log(JSON.stringify((await model.answer(['smoked paprika']))[0]));
`);
  assert.equal(JSON.parse(execFileSync('node', ['example.js'], inside))[0].source.label, 'plant');
  const answer = execFileSync('npx', ['--offline', 'whippedup-classify', '--json', 'smoked paprika'], inside);
  assert.equal(JSON.parse(answer).source.label, 'plant');
  writeFileSync(join(project, 'wrong.ts'), `import { load } from 'whippedup-classify/node';
const id: string = (await load()).id;
const wrong: number = id;
`);
  const check = () => execFileSync(resolve('node_modules/.bin/tsc'), ['--noEmit', '--module', 'nodenext', '--target', 'es2022', '--skipLibCheck', '--types', 'node', 'wrong.ts'], inside);
  assert.throws(check, (error) => error.stdout.trim().split('\n').length === 1 && /wrong.ts\(3,7\).*TS2322/.test(error.stdout));
});
