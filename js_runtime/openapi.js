/**
 * The API's description (OpenAPI 3.1), made from the contract so that labels are enums. Mirrors
 * function/openapi.py.
 *
 * @typedef {import('./contract.js').Contract} Contract
 * @typedef {import('./contract.js').Task} Task
 */
import { MAX_CHARACTERS, MAX_TEXTS } from './request.js';

/**
 * The OpenAPI document of the function serving this contract.
 *
 * @param {Readonly<Contract>} contract
 * @param {string} modelId
 */
export function describe(contract, modelId) {
  const text = { type: 'string', minLength: 1, maxLength: MAX_CHARACTERS };
  const texts = { type: 'array', items: text, minItems: 1, maxItems: MAX_TEXTS };
  const body = {
    oneOf: Object.entries({ text, texts }).map(([name, schema]) => ({
      type: 'object', properties: { [name]: schema }, required: [name], additionalProperties: false,
    })),
  };
  const scores = query('scores', { const: 'all' }, "every label's probability as well", false);
  const post = {
    summary: 'Classify one text or several',
    parameters: [scores],
    requestBody: { required: true, content: { 'application/json': { schema: body } } },
    responses: responses('400', '413', '415', '422'),
  };
  const get = {
    summary: 'Classify one text; the answer may be cached',
    parameters: [query('text', text, 'what to classify', true), scores],
    responses: { ...responses('422'), 304: { description: 'known by its ETag' } },
  };
  const plain = { get: { responses: { 200: { description: 'yes' } } } };
  return {
    openapi: '3.1.0',
    info: { title: `${contract.name} classifier`, version: modelId },
    paths: { '/classify': { get, post }, '/': { post }, '/health': plain, '/ready': plain },
    components: { schemas: schemas(contract) },
  };
}

/**
 * @param {string} name
 * @param {object} schema
 * @param {string} description
 * @param {boolean} required
 */
function query(name, schema, description, required) {
  return { name, in: 'query', required, description, schema };
}

/** @param {...string} refusals */
function responses(...refusals) {
  const of = (/** @type {string} */ name) => ({ schema: { $ref: `#/components/schemas/${name}` } });
  const refused = { description: 'refused', content: { 'application/problem+json': of('Problem') } };
  return {
    200: { description: 'the answers', content: { 'application/json': of('Answers') } },
    ...Object.fromEntries(refusals.map((status) => [status, refused])),
  };
}

/** @param {Readonly<Contract>} contract */
function schemas(contract) {
  const result = {
    type: 'object',
    properties: {
      text: { type: 'string' },
      ...Object.fromEntries(contract.tasks.map((task) => [task.name, answer(task)])),
      scores: { type: 'object' },
    },
    required: ['text', ...contract.tasks.map((task) => task.name)],
  };
  return {
    Answers: {
      type: 'object',
      properties: { model: { type: 'string' }, results: { type: 'array', items: result } },
      required: ['model', 'results'],
    },
    Problem: {
      type: 'object',
      properties: {
        type: { type: 'string' },
        title: { type: 'string' },
        status: { type: 'integer' },
        detail: { type: 'string' },
        errors: { type: 'array', items: { type: 'object' } },
      },
      required: ['type', 'title', 'status', 'detail'],
    },
  };
}

/** @param {Readonly<Task>} task */
function answer(task) {
  const abstain = { const: true, description: 'too unsure: ask a person' };
  const one = {
    type: 'object',
    properties: {
      label: { enum: task.labels },
      score: { type: 'number', minimum: 0, maximum: 1 },
      ...(task.kind === 'single' && { abstain }),
    },
    required: ['label', 'score'],
  };
  if (task.kind === 'multi') return { type: 'array', items: one };
  return task.onlyIf.length > 0 ? { oneOf: [one, { type: 'null' }] } : one;
}
