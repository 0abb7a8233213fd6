/**
 * The bytes of a request's body, at most MAX_BODY of them and within BODY_MS, whatever framework is
 * in between.
 *
 * functions-framework parses a body before the function sees the request: up to 1 GiB into memory,
 * what is no JSON answered by a page of its own. It leaves alone what has no content type. So the
 * header is put aside as a request comes in, and the body is read here.
 *
 * @typedef {import('node:http').IncomingMessage} Request
 */
import { subscribe } from 'node:diagnostics_channel';
import { named, Problem } from './errors.js';
import { HEADERS } from './guard.js';
import { MAX_BODY } from './request.js';

const BODY_MS = 10_000; // of the 30 s that `make deploy` gives a whole request

/** The content type of each request. @type {WeakMap<Request, string>} */
const types = new WeakMap();
/** Those that answer a broken request in our words. @type {WeakSet<object>} */
const servers = new WeakSet();

subscribe('http.server.request.start', (message) => {
  const { request, server } = /** @type {{ request: Request, server: import('node:http').Server }} */ (message);
  types.set(request, request.headers['content-type'] ?? '');
  delete request.headers['content-type'];
  if (servers.has(server)) return;
  servers.add(server);
  // Chunks that are none, a body that is cut off: the parser gives up, and so do we.
  server.on('clientError', (_, socket) => {
    const body = unreadable().document();
    const headers = Object.entries({
      Connection: 'close',
      'Content-Type': 'application/problem+json',
      'Content-Length': Buffer.byteLength(body),
      ...HEADERS,
    });
    const lines = ['HTTP/1.1 400 Bad Request', ...headers.map((pair) => pair.join(': '))];
    socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  });
});

function unreadable() {
  return new Problem(400, 'The body could not be read, expected all of its announced length or chunks.');
}

/**
 * The body of a JSON request. Throws Problem 400, 408, 413 or 415.
 *
 * @param {Request} asked
 * @returns {Promise<Buffer>}
 */
export async function bodyOf(asked) {
  const type = (types.get(asked) ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json') {
    const found = type || 'none';
    throw new Problem(415, `The content type is ${found}, expected application/json.`, [
      named(`found ${found}, expected application/json`, 'Content-Type'),
    ]);
  }
  // Of what is too long Node discards the rest.
  const tooLarge = new Problem(413, `The body is over ${MAX_BODY} bytes.`);
  if (Number(asked.headers['content-length'] ?? 0) > MAX_BODY) throw tooLarge;
  return new Promise((resolve, reject) => {
    const seconds = BODY_MS / 1000;
    const overdue = setTimeout(() => reject(
      new Problem(408, `The body did not come within ${seconds} s.`, [], { Connection: 'close' }),
    ), BODY_MS);
    /** @type {Buffer[]} */
    const parts = [];
    let length = 0; // a chunked body announces none
    asked.on('data', (part) => {
      length += part.length;
      if (length > MAX_BODY) reject(tooLarge);
      else parts.push(part);
    });
    asked.on('end', () => resolve(Buffer.concat(parts)));
    asked.on('error', () => reject(unreadable()));
    asked.on('close', () => clearTimeout(overdue));
  });
}
