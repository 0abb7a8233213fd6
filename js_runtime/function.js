/**
 * The Cloud Run function: entry point `classify` over functions-framework.
 *
 *     functions-framework --source js_runtime/function.js --target classify
 *
 * The framework waits for this module, and listens when the model is there.
 */
import { start } from './service.js';

export { classify } from './service.js';

await start();
