/** WordPiece on what needs no reference; tests/test_javascript.py holds it against all of Unicode. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parse } from '../js_runtime/contract.js';
import { load } from '../js_runtime/wordpiece.js';

const wordpiece = load(await readFile('bundle/vocab.txt'));
const id = (piece) => wordpiece.vocab.get(piece);

test('golden ids', async () => {
  const golden = JSON.parse(await readFile('bundle/golden.json', 'utf8'));
  const contract = parse(JSON.parse(await readFile('bundle/contract.json', 'utf8')), wordpiece.vocab);
  for (const { text, ids } of golden.phrases) {
    assert.deepEqual(wordpiece.encode(text, contract), ids, text);
    assert.deepEqual(wordpiece.encode(text, contract), ids, `${text}, remembered`);
  }
});

test('the phrase is cut and never the controls; typed special tokens stay ordinary text', async () => {
  const contract = parse(JSON.parse(await readFile('bundle/contract.json', 'utf8')), wordpiece.vocab);
  const controls = ['>', '+', '|'].map(id);
  assert.deepEqual(wordpiece.encode('salt '.repeat(200), contract),
    [101, ...Array(59).fill(id('salt')), ...controls, 102]);
  assert.deepEqual(wordpiece.encode('', contract), [101, ...controls, 102]);
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map(id);
  for (const text of ['[CLS] salt [SEP]', 'salt > + |', '[MASK][PAD]']) {
    assert.ok(!wordpiece.pieces(text).some((piece) => special.includes(piece)), text);
  }
});

test('lone surrogates are ignored', () => {
  assert.deepEqual(wordpiece.pieces('sa\ud800lt \udfff'), wordpiece.pieces('salt'));
  assert.deepEqual(wordpiece.pieces('\udc00'), []);
});

test('a word has at most 100 code points, not UTF-16 units', () => {
  assert.deepEqual(wordpiece.pieces('a'.repeat(101)), [id('[UNK]')]);
  assert.notDeepEqual(wordpiece.pieces('a'.repeat(100)), [id('[UNK]')]);
  const small = load(new TextEncoder().encode('[PAD]\n[UNK]\n[CLS]\n[SEP]\n𐐨\n##𐐨'));
  assert.equal(small.pieces('𐐨'.repeat(100)).length, 100);
  assert.deepEqual(small.pieces('𐐨'.repeat(101)), [1]);
});

test('vocabulary errors name the line', () => {
  const from = (text) => () => load(typeof text === 'string' ? new TextEncoder().encode(text) : text);
  assert.throws(from('[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n'), /^VocabularyError: vocab.txt:5: found 'a' twice/);
  assert.throws(from(Uint8Array.of(65, 10, 255)), /vocab.txt: found bytes that are not UTF-8/);
  assert.throws(from('[PAD]\n[UNK]\n[CLS]\n'), /vocab.txt: .*found no \[SEP\]/);
});
