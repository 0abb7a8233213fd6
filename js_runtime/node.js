/**
 * The bundle in Node: files from a folder, onnxruntime-node on one thread.
 *
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('./model.js').Session} Session
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as models from './model.js';
import { timing } from './timing.js';

// onnxruntime's builds may report what they run to their maker; nothing here calls the network.
process.env.ORT_DISABLE_TELEMETRY = '1';

/** The bundle in this package where it was installed or staged, else the repository's. */
const OWN = ['./bundle/', '../bundle/']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((folder) => existsSync(folder)) ?? 'bundle';

/**
 * The bundle in `folder`, every file of its manifest checked, warmed up by one inference.
 *
 * Throws BundleError, ContractError or VocabularyError where something is wrong with it.
 *
 * @param {string} folder
 * @returns {Promise<Model>}
 */
export function load(folder = OWN) {
  return models.load(join(folder, '/'), {
    open: openSession,
    async read(path) {
      // Not node:fs/promises: a cold start would wait for all that it brings.
      const content = readFileSync(join(folder, path));
      return { content, sha256: createHash('sha256').update(content).digest('hex') };
    },
  });
}

/**
 * A session on one thread over the content of an ONNX file.
 *
 * @param {Uint8Array} model
 * @returns {Promise<Session>}
 */
export async function openSession(model) {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  timing.mark('onnxruntime');
  const session = await InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'disabled', // export did it already
    logSeverityLevel: 3,
    // Spinning threads would burn the CPU that Cloud Run bills.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  return models.wrap(session, Tensor);
}
