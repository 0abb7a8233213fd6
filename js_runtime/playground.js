/**
 * The playground's files, served at `/` when PLAYGROUND=1. Mirrors function/playground.py.
 *
 * The paths are fixed as the server starts, so that none can point outside the folder.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Beside this file where it was staged, else where `make playground` builds it. */
const FOLDERS = ['./playground/', '../build/playground/']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** @type {Record<string, string>} */
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.onnx': 'application/octet-stream',
};
const HEADERS = {
  'Cache-Control': 'no-cache',
  // Nothing from elsewhere; onnxruntime compiles WebAssembly. Nobody frames it, no form of it is
  // sent: the page asks by fetch.
  'Content-Security-Policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
    + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Service-Worker-Allowed': '/',
};

/**
 * The file of each path, none where no playground was built.
 *
 * @returns {Map<string, string>}
 */
export function files() {
  /** @type {Map<string, string>} */
  const found = new Map();
  const folder = FOLDERS.find((one) => existsSync(join(one, 'assets.json')));
  if (!folder) return found;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.path, entry.name);
    const path = relative(folder, file).split(sep).join('/');
    if (entry.isFile()) found.set(path === 'index.html' ? '/' : `/playground/${path}`, file);
  }
  return found;
}

/**
 * A file's content and the headers to send it with.
 *
 * @param {string} file
 * @returns {{ content: Uint8Array, headers: Record<string, string> }}
 */
export function read(file) {
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  return { content: readFileSync(file), headers: { 'Content-Type': type, ...HEADERS } };
}
