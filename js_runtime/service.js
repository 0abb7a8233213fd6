/**
 * What the Cloud Run function (function.js) answers. Mirrors function/main.py.
 *
 * The bundle is `BUNDLE` or the one that came along. It is loaded and warmed up before the server
 * listens; a bad one ends the process with one line. With `PLAYGROUND=1` the page that
 * `make playground` builds is served at `/`. What else the environment decides is in guard.js.
 *
 * @typedef {import('node:http').IncomingMessage} Request
 * @typedef {import('node:http').ServerResponse} Response
 * @typedef {{ status: number, headers: Record<string, string>, content: string | Uint8Array }} Reply
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { http } from '@google-cloud/functions-framework';
import { timeline } from './startup.js'; // first of ours: what came before it was the framework
import { bodyOf } from './body.js';
import { Problem } from './errors.js';
import * as guards from './guard.js';
import { serverTiming, traceOf } from './headers.js';
import { write } from './log.js';
import { load } from './node.js';
import { describe } from './openapi.js';
import { files, read } from './playground.js';
import { parse, scoresOf, textOf, textsOf, VERSION } from './request.js';
import { connection } from './stop.js';
import { timing } from './timing.js';

const GET = ['GET', 'HEAD'];
const POST = ['POST'];
// What the log names; any other word for a method is a text of its caller.
const METHODS = [...GET, ...POST, 'DELETE', 'OPTIONS', 'PATCH', 'PUT'];
/** @type {Record<string, string[]>} */
const ROUTES = {
  '/': POST,
  '/classify': [...GET, ...POST],
  '/health': GET,
  '/ready': GET,
  '/openapi.json': GET,
};
const MAX_AGE = 86_400; // seconds an answer to a GET may be kept; its ETag changes with the model

timing.sink = write;
timing.context = new AsyncLocalStorage(); // requests overlap while they wait for their bodies
timing.mark('function');

/** @type {guards.Guard} */
let guard;
/** @type {import('./model.js').Model} */
let model;
/** @type {Record<string, string>} */
let versions;
/** @type {Map<string, string>} */
let pages;

/** Load guard and model and register `classify`; or end the process with one line that says what is wrong. */
export async function start() {
  try {
    guard = guards.read(process.env);
    model = await load(process.env.BUNDLE || undefined);
  } catch (error) {
    process.stderr.write(`error: ${/** @type {Error} */ (error).message}\n`);
    process.exit(1);
  }
  versions = { 'API-Version': VERSION, 'Model-Version': model.id };
  pages = process.env.PLAYGROUND === '1' ? files() : new Map();
  http('classify', classify);
}


/**
 * Answer one request. Never throws: what nobody expected is a 500 problem document.
 *
 * @param {Request} asked
 * @param {Response} response
 */
export async function classify(asked, response) {
  /** @type {Record<string, unknown>} */
  const log = {};
  const trace = traceOf(asked.headers);
  const [answer, duration] = await timeline.invocation('request', () =>
    route(asked, log).catch((error) => {
      if (error instanceof Problem) return refused(error);
      // To the log alone, a trace tells a stranger too much; and the error's type without its
      // message, which may quote what a user typed.
      log.stack = [...String(error?.stack).matchAll(/^ +at .*/gm), error?.name].join('\n');
      return refused(new Problem(500, 'Something went wrong here; the request may be fine.'));
    }), trace);
  const method = METHODS.includes(asked.method ?? '') ? asked.method : 'a request';
  timing.sink?.({
    severity: answer.status >= 500 ? 'ERROR' : 'INFO',
    message: `${method} ${answer.status} in ${duration.toFixed(3)} ms`,
    status: answer.status,
    ...log,
  }, trace);
  const empty = answer.status === 204 || answer.status === 304;
  const length = empty ? {} : { 'Content-Length': Buffer.byteLength(answer.content) };
  const always = { ...guards.HEADERS, ...versions, ...guard.cors(asked.headers) };
  response.writeHead(answer.status, { ...always, ...answer.headers, ...length, ...connection() });
  response.end(answer.content);
}

/**
 * The reply to a well-formed request; `log` gets what is worth a line. Throws Problem.
 *
 * @param {Request} asked
 * @param {Record<string, unknown>} log
 * @returns {Promise<Reply>}
 */
async function route(asked, log) {
  const [path, query] = split(/** @type {string} */ (asked.url));
  const method = /** @type {string} */ (asked.method);
  if (GET.includes(method) && pages.has(path)) return { status: 200, ...read(/** @type {string} */ (pages.get(path))) };
  const methods = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (methods === undefined) {
    const known = Object.keys(ROUTES).join(', ');
    throw new Problem(404, `There is nothing here, expected one of ${known}.`);
  }
  const may = method === 'OPTIONS' && guard.preflight(asked.headers, methods);
  if (may) return { status: 204, headers: may, content: '' };
  if (!methods.includes(method)) {
    const allowed = methods.join(', ');
    throw new Problem(405, `Found ${method}, expected one of ${allowed}.`, [], { Allow: allowed });
  }
  if (path === '/health') return respond({ status: 'ok' });
  // The model was warmed up before the server began to listen.
  if (path === '/ready') return respond({ status: 'ready', api: VERSION, model: model.id });
  if (path === '/openapi.json') return respond(describe(model.contract, guard.key !== undefined));
  guard.admit(asked.headers);
  if (GET.includes(method)) {
    const scores = scoresOf(query, ['text', 'scores']);
    return cached(asked, textOf(query), scores, log);
  }
  const scores = scoresOf(query, ['scores']);
  return answered(textsOf(parse(await bodyOf(asked))), scores, log);
}

/**
 * @param {string} url path and query
 * @returns {[string, URLSearchParams]}
 */
function split(url) {
  const [, path, query] = /** @type {RegExpExecArray} */ (/^([^?]*)\??(.*)$/s.exec(url));
  return [path, new URLSearchParams(query)];
}

/**
 * The answer to a GET, which a browser or CDN may keep; 304 where it has it already.
 *
 * @param {Request} asked
 * @param {string} text
 * @param {boolean} scores
 * @param {Record<string, unknown>} log
 * @returns {Promise<Reply>}
 */
async function cached(asked, text, scores, log) {
  // The model file's hash, so that a retrained model of the same version is asked anew.
  const known = `${model.id} ${model.fingerprint} ${scores} ${text}`;
  const etag = createHash('sha256').update(known).digest('hex').slice(0, 32);
  const answer = holds(asked.headers['if-none-match'], etag)
    ? { status: 304, headers: {}, content: '' }
    : await answered([text], scores, log);
  // What only a key opens is not for a cache that others share.
  const shared = guard.key ? 'private' : 'public';
  Object.assign(answer.headers, { ETag: `"${etag}"`, 'Cache-Control': `${shared}, max-age=${MAX_AGE}` });
  return answer;
}

/**
 * Whether an If-None-Match names `etag`; weakly too, for a proxy that compresses an answer weakens
 * its ETag.
 *
 * @param {string | undefined} header
 * @param {string} etag
 */
function holds(header = '', etag) {
  return header.trim() === '*' || [...header.matchAll(/"([^"]*)"/g)].some(([, tag]) => tag === etag);
}

/**
 * @param {string[]} texts
 * @param {boolean} scores
 * @param {Record<string, unknown>} log
 * @returns {Promise<Reply>}
 */
async function answered(texts, scores, log) {
  const [results, stages] = await model.answer(texts, scores);
  const characters = texts.reduce((sum, text) => sum + [...text].length, 0);
  Object.assign(log, { texts: texts.length, characters, digest: guard.digest(texts) });
  for (const [name, ms] of Object.entries(stages)) log[`${name}_ms`] = Number(ms.toFixed(3));
  const answer = respond({ api: VERSION, model: model.id, results });
  answer.headers['Server-Timing'] = serverTiming(stages);
  return answer;
}

/** @param {Problem} problem */
function refused(problem) {
  const answer = respond(undefined, problem.status, 'application/problem+json');
  return { ...answer, content: problem.document(), headers: { ...answer.headers, ...problem.headers } };
}

/**
 * @param {unknown} data
 * @param {number} status
 * @param {string} type
 * @returns {Reply}
 */
function respond(data, status = 200, type = 'application/json') {
  return { status, headers: { 'Content-Type': type }, content: JSON.stringify(data) };
}
