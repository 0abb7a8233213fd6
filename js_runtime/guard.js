/**
 * Who may ask from where, what goes along with every answer, and what of a text a log may hold.
 * Mirrors function/guard.py.
 *
 *     ALLOWED_ORIGINS  pages that may ask from a browser, such as `https://a.example,https://b.example`
 *                      (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol); none by default
 *     API_KEY          if set, what a classification must bring in the header `X-API-Key`
 *     LOG_KEY          what texts are hashed with in the log; by default random, one per process
 *
 * @typedef {import('node:http').IncomingHttpHeaders} Headers names in lower case
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { named, Problem } from './errors.js';

export const KEY_HEADER = 'X-API-Key';
// An answer is data: whatever a browser is made to do with it, it shall not run it, frame it or
// tell others of it. HSTS counts over HTTPS alone, so it does not hurt on localhost.
export const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'Strict-Transport-Security': 'max-age=63072000',
  'X-Content-Type-Options': 'nosniff',
};
const ORIGIN = /^https?:\/\/[a-z0-9.\-[\]:]+$/;
const KEY = /^[!-~]([ -~]*[!-~])?$/; // a header's value has no space at either end

/** A setting that cannot be meant: names the variable, what was found and what is expected. */
export class GuardError extends Error {
  name = 'GuardError';
}

export class Guard {
  #logKey;

  /**
   * @param {ReadonlySet<string>} origins
   * @param {Buffer | undefined} key sha256 of the API key
   * @param {string | Buffer} logKey
   */
  constructor(origins, key, logKey) {
    this.origins = origins;
    this.key = key;
    this.#logKey = logKey;
  }

  /**
   * Throws Problem 401 where the API key is missing or wrong. Both are hashed first, so that the
   * time of the comparison tells neither the key nor its length.
   *
   * @param {Headers} headers
   */
  admit(headers) {
    const given = sha256(String(headers[KEY_HEADER.toLowerCase()] ?? ''));
    if (this.key && !timingSafeEqual(given, this.key)) {
      const fault = named('found a missing or wrong key, expected the one agreed on', KEY_HEADER);
      throw new Problem(401, `${KEY_HEADER}: ${fault.detail}.`, [fault], { 'WWW-Authenticate': KEY_HEADER });
    }
  }

  /**
   * The headers that let the page which asked read the answer, if it may.
   *
   * @param {Headers} headers
   * @returns {Record<string, string>}
   */
  cors({ origin = '' }) {
    if (this.origins.size === 0) return {};
    // Also where it may not: a cache must not give one page's answer to another.
    return { Vary: 'Origin', ...(this.origins.has(origin) && {
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': 'API-Version, ETag, Model-Version, Server-Timing',
    }) };
  }

  /**
   * The headers of the answer to a browser that asks first whether its page may ask; none where
   * that is not asked, or of a page that may not.
   *
   * @param {Headers} headers
   * @param {readonly string[]} methods
   * @returns {Record<string, string> | undefined}
   */
  preflight(headers, methods) {
    const asks = headers['access-control-request-method'] !== undefined;
    if (!asks || !this.origins.has(headers.origin ?? '')) return undefined;
    return {
      'Access-Control-Allow-Methods': methods.join(', '),
      'Access-Control-Allow-Headers': `Content-Type, ${KEY_HEADER}`,
      'Access-Control-Max-Age': '7200', // seconds, the most that Chromium keeps
    };
  }

  /**
   * What the log says of texts: the same for the same, nothing for who lacks the key. A hash
   * without one could be looked up, as there are not that many phrases.
   *
   * @param {readonly string[]} texts
   */
  digest(texts) {
    return createHmac('sha256', this.#logKey).update(texts.join('\0')).digest('hex').slice(0, 16);
  }
}

/**
 * The guard that the environment's variables ask for. Throws GuardError.
 *
 * @param {Readonly<Record<string, string | undefined>>} environment
 */
export function read({ ALLOWED_ORIGINS = '', API_KEY, LOG_KEY }) {
  const origins = ALLOWED_ORIGINS.split(',').map((part) => part.trim()).filter(Boolean);
  const odd = origins.find((origin) => !ORIGIN.test(origin));
  if (odd !== undefined) {
    throw new GuardError(`ALLOWED_ORIGINS: found '${odd}', expected an origin as browsers send it, `
      + 'such as https://example.org');
  }
  if (API_KEY && !KEY.test(API_KEY)) {
    throw new GuardError('API_KEY: found a key that no header carries, expected visible ASCII');
  }
  return new Guard(new Set(origins), API_KEY ? sha256(API_KEY) : undefined, LOG_KEY || randomBytes(32));
}

/** @param {string} text */
function sha256(text) {
  return createHash('sha256').update(text).digest();
}
