/**
 * The API's description (OpenAPI 3.1), made from the contract so that labels are enums. Mirrors
 * function/openapi.py.
 *
 * @typedef {import('./contract.js').Contract} Contract
 * @typedef {import('./contract.js').Task} Task
 * @typedef {Record<string, any>} Part of the document
 */
import { KEY_HEADER } from './guard.js';
import { MAX_CHARACTERS, MAX_TEXTS, VERSION } from './request.js';

// At least one character that is no white space to either function; `\S` means another set in every
// dialect.
const SEEN = '[^\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
/** @type {Record<string, string>} */
const REFUSED = {
  400: 'the body is no JSON or could not be read',
  401: 'the API key is missing or wrong',
  408: 'the body came too slowly',
  413: 'the body is too large',
  415: 'the body is not called JSON',
  422: 'the body or the query does not say what to classify; every fault is named',
};

/**
 * The OpenAPI document of the function serving this contract; `keyed`: it wants an API key.
 *
 * @param {Readonly<Contract>} contract
 * @param {boolean} keyed
 */
export function describe(contract, keyed) {
  const text = { type: 'string', minLength: 1, maxLength: MAX_CHARACTERS, pattern: SEEN };
  const texts = { type: 'array', items: text, minItems: 1, maxItems: MAX_TEXTS };
  const body = {
    oneOf: Object.entries({ text, texts }).map(([name, schema]) => ({
      type: 'object', properties: { [name]: schema }, required: [name], additionalProperties: false,
    })),
    examples: [{ text: 'smoked paprika' }, { texts: ['smoked paprika', 'oat milk'] }],
  };
  const scores = query('scores', { const: 'all' }, "every label's probability as well", false);
  const own = keyed ? ['401'] : [];
  const security = keyed ? [{ key: [] }] : [];
  const post = {
    summary: 'Classify one text or several',
    parameters: [scores],
    requestBody: { required: true, content: { 'application/json': { schema: body } } },
    responses: responses('Answers', [...own, '400', '408', '413', '415', '422'], 'Server-Timing'),
    security,
  };
  const get = {
    summary: 'Classify one text; the answer may be cached',
    parameters: [
      query('text', text, 'what to classify', true),
      scores,
      { name: 'If-None-Match', in: 'header', schema: { type: 'string' },
        description: 'the ETag of an answer at hand' },
    ],
    responses: {
      ...responses('Answers', [...own, '422'], 'Server-Timing', 'ETag'),
      304: { description: 'the answer at hand is still right', headers: headers('ETag', 'Cache-Control') },
    },
    security,
  };
  /** @type {Record<string, Record<string, Part>>} */
  const paths = {
    '/classify': { get, post },
    '/': { post },
    '/health': { get: plain('Is the process alive?', 'Health') },
    '/ready': { get: plain('Is the model loaded and warmed up?', 'Ready') },
    '/openapi.json': { get: plain('This description', 'Description') },
  };
  for (const [path, operations] of Object.entries(paths)) {
    const name = path.slice(1).split('.')[0] || 'root';
    if (operations.get) operations.head = head(operations.get);
    paths[path] = Object.fromEntries(Object.entries(operations).map(([method, operation]) =>
      [method, { operationId: `${method}_${name}`, ...operation }]));
  }
  return {
    openapi: '3.1.0',
    info: {
      title: `${contract.name} classifier`,
      version: VERSION,
      description: 'Short texts in, one answer a task out. Refusals are problem documents '
        + '(RFC 9457) that name the field.',
    },
    paths,
    components: {
      schemas: schemas(contract),
      headers: DESCRIBED,
      ...(keyed && { securitySchemes: { key: { type: 'apiKey', in: 'header', name: KEY_HEADER } } }),
    },
  };
}

/**
 * @param {string} name
 * @param {Part} schema
 * @param {string} description
 * @param {boolean} required
 */
function query(name, schema, description, required) {
  return { name, in: 'query', required, description, schema };
}

/**
 * @param {string} summary
 * @param {string} schema
 */
function plain(summary, schema) {
  return { summary, responses: responses(schema, []) };
}

/**
 * The 200 with a body of `schema` and `more` headers, the `refusals`, and whatever else may go
 * wrong.
 *
 * @param {string} schema
 * @param {readonly string[]} refusals
 * @param {...string} more
 */
function responses(schema, refusals, ...more) {
  const problem = 'application/problem+json';
  return {
    200: response('as asked', 'application/json', schema, ...more),
    ...Object.fromEntries(refusals.map((status) => [status, response(REFUSED[status], problem, 'Problem')])),
    default: response('anything else', problem, 'Problem'),
  };
}

/**
 * @param {string} description
 * @param {string} type
 * @param {string} schema
 * @param {...string} more
 */
function response(description, type, schema, ...more) {
  return {
    description,
    headers: headers('Cache-Control', ...more),
    content: { [type]: { schema: { $ref: `#/components/schemas/${schema}` } } },
  };
}

/** @param {...string} names */
function headers(...names) {
  return Object.fromEntries(['API-Version', 'Model-Version', ...names]
    .map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/**
 * HEAD answers as GET does, without the body.
 *
 * @param {Part} get
 */
function head(get) {
  return {
    ...get,
    responses: Object.fromEntries(Object.entries(get.responses)
      .map(([status, { content, ...response }]) => [status, response])),
  };
}

/** @param {string} description */
function header(description) {
  return { description, required: true, schema: { type: 'string' } };
}

const DESCRIBED = {
  'API-Version': header('semantic version of the API, as in info.version'),
  'Model-Version': header('name and semantic version of the model, such as ingredients-1.0.0'),
  'Cache-Control': header('no-store, but for answers to GET, which may be kept'),
  ETag: header('changes with the text and the model'),
  'Server-Timing': header('ms that each stage took: encode, infer, decode'),
};

/**
 * Of an answer: further properties may come with a later minor version.
 *
 * @param {Part} properties
 * @param {...string} optional
 */
function object(properties, ...optional) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

/** @param {Readonly<Contract>} contract */
function schemas(contract) {
  const string = { type: 'string' };
  const each = (/** @type {(task: Readonly<Task>) => Part} */ make) =>
    Object.fromEntries(contract.tasks.map((task) => [task.name, make(task)]));
  const result = object({ text: string, ...each(answer), scores: object(each(probabilities)) }, 'scores');
  const fault = object({ detail: string, pointer: string, parameter: string }, 'pointer', 'parameter');
  return {
    Answers: object({ api: string, model: string, results: { type: 'array', items: result } }),
    Health: object({ status: { const: 'ok' } }),
    Ready: object({ status: { const: 'ready' }, api: string, model: string }),
    Description: { type: 'object', required: ['openapi', 'info', 'paths'] },
    Problem: object({
      type: string,
      title: string,
      status: { type: 'integer' },
      detail: string,
      errors: {
        type: 'array',
        items: fault,
        description: 'each fault at a JSON pointer into the body (RFC 6901), or of the query '
          + 'parameter or header of that name',
      },
    }, 'errors'),
  };
}

/** @param {Readonly<Task>} task */
function probabilities(task) {
  return object(Object.fromEntries(task.labels.map((label) => [label, PROBABILITY])));
}

const PROBABILITY = { type: 'number', minimum: 0, maximum: 1 };

/**
 * `single`: a label, or null where the task does not apply; `multi`: any number of them.
 *
 * @param {Readonly<Task>} task
 */
function answer(task) {
  const given = { label: { enum: task.labels }, score: PROBABILITY };
  if (task.kind === 'multi') return { type: 'array', items: object(given) };
  const abstain = { const: true, description: 'too unsure: ask a person' };
  const one = object({ ...given, abstain }, 'abstain');
  return task.onlyIf.length > 0 ? { oneOf: [one, { type: 'null' }] } : one;
}
