/** The bundle is a transformers.js model folder: opened offline, its logits are ours. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { AutoModelForTokenClassification, AutoTokenizer, env, Tensor } from '@huggingface/transformers';
import { load } from 'whippedup-classify/node';

const PHRASES = 200;
const PLAIN = /^[a-z ]{3,100}$/; // and short enough not to be cut

test('transformers.js opens the bundle and gives the same logits', async () => {
  env.allowRemoteModels = false;
  env.localModelPath = resolve('.');
  const options = { dtype: 'q8', session_options: { graphOptimizationLevel: 'disabled', intraOpNumThreads: 1 } };
  const theirs = await AutoModelForTokenClassification.from_pretrained('bundle', options);
  const tokenizer = await AutoTokenizer.from_pretrained('bundle');
  const ours = await load();
  const { phrases } = JSON.parse(await readFile('bundle/golden.json', 'utf8'));
  const rows = (await readFile('training/data/labelled.csv', 'utf8')).split('\n').slice(1);
  const more = rows.map((row) => row.split(',')[0]).filter((text) => PLAIN.test(text));
  const texts = [...new Set([...phrases.map((phrase) => phrase.text), ...more])].slice(0, PHRASES);
  assert.equal(texts.length, PHRASES);
  for (const text of texts) {
    const ids = ours.wordpiece.encode(text, ours.contract);
    const pieces = tokenizer.encode(text, { add_special_tokens: false });
    // Of plain words: a typed [SEP] ends their sequence, and their Unicode is the engine's.
    if (PLAIN.test(text)) assert.deepEqual(pieces, ids.slice(1, -1 - ours.contract.tasks.length), text);
    const tensor = (value) => new Tensor('int64', BigInt64Array.from(ids, value), [1, ids.length]);
    const { logits } = await theirs({ input_ids: tensor(BigInt), attention_mask: tensor(() => 1n),
      token_type_ids: tensor(() => 0n) });
    const found = await ours.run(ids);
    assert.equal(found.length, logits.data.length);
    const worst = found.reduce((most, x, n) => Math.max(most, Math.abs(x - logits.data[n])), 0);
    assert.ok(worst <= 1e-5, `${text}: ${worst}`);
  }
});
