/** The core: no dependency, no file, no network. `./node` and `./web` load a bundle into it. */
export { Cache } from './cache.js';
export { ContractError, parse as parseContract } from './contract.js';
export { decode, probabilities, sigmoid, softmax } from './decode.js';
export { BundleError, load, Model } from './model.js';
export { timed, timing } from './timing.js';
export { VocabularyError, WordPiece, words } from './wordpiece.js';
