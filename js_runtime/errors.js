/**
 * What a caller gets for a bad request: problem documents (RFC 9457) that name the place.
 * Mirrors function/errors.py.
 */

/** As RFC 9110 names them. @type {Readonly<Record<number, string>>} */
export const TITLES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
};

/**
 * One fault: at a JSON pointer into the body (RFC 6901, as a fragment), or of the query parameter
 * or header of that name.
 *
 * @typedef {{ detail: string, pointer?: string, parameter?: string }} Fault
 */

/** A refusal; `errors` lists each fault. */
export class Problem extends Error {
  name = 'Problem';

  /**
   * @param {number} status
   * @param {string} detail
   * @param {readonly Fault[]} errors
   * @param {Readonly<Record<string, string>>} headers
   */
  constructor(status, detail, errors = [], headers = {}) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.errors = errors;
    this.headers = headers;
  }

  /** The body, to be sent as `application/problem+json`. */
  document() {
    return JSON.stringify({
      type: 'about:blank',
      title: TITLES[this.status],
      status: this.status,
      detail: this.detail,
      ...(this.errors.length > 0 && { errors: this.errors }),
    });
  }
}

/**
 * One fault at a place of the body.
 *
 * @param {string} detail
 * @param {...(string | number)} path
 * @returns {Fault}
 */
export function pointed(detail, ...path) {
  const escaped = path.map((part) => String(part).replaceAll('~', '~0').replaceAll('/', '~1'));
  return { detail, pointer: `#${escaped.map((part) => `/${part}`).join('')}` };
}

/**
 * One fault of a query parameter or header.
 *
 * @param {string} detail
 * @param {string} parameter
 * @returns {Fault}
 */
export function named(detail, parameter) {
  return { detail, parameter };
}
