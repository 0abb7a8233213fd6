/** The model beside the page: `{ id, load }` once, then `{ id, texts }`; answers carry the id. */
import { load } from '../web.js';

/** @type {import('../model.js').Model} */
let model;
/** @type {string[]} */
let names; // of the pieces, by id

const ANSWERS = {
  async load({ bundle, wasm }) {
    const began = performance.now();
    model = await load(bundle, wasm);
    names = [...model.wordpiece.vocab.keys()];
    return { model: model.id, contract: model.contract, ms: performance.now() - began };
  },
  async texts(texts) {
    const began = performance.now();
    const [results] = await model.answer(texts, true);
    const ms = performance.now() - began;
    const pieces = model.wordpiece.encode(texts[0], model.contract).map((id) => names[id]);
    return { results, pieces, ms };
  },
};

addEventListener('message', async ({ data: { id, ...asked } }) => {
  const [[kind, given]] = Object.entries(asked);
  try {
    postMessage({ id, answer: await ANSWERS[kind](given) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
});
