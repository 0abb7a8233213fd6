/** The playground: a phrase to both runtimes as it is typed, the answer of the chosen one shown. */
import { csv } from './csv.js';
import { showAnswer, showPieces } from './show.js';

const BATCH = 256; // texts of one request, as the function allows
const PAUSE = 120; // ms in which somebody who types on spares the function a request
const $ = (id) => document.getElementById(id);
const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
const waiting = new Map();
let contract;

worker.addEventListener('message', ({ data: { id, answer, error } }) => {
  const { done, fail } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) done(answer);
  else fail(new Error(error));
});

/** What the worker answers. Rejects with its error's message. */
function ask(question) {
  return new Promise((done, fail) => {
    const id = crypto.randomUUID();
    waiting.set(id, { done, fail });
    worker.postMessage({ id, ...question });
  });
}

const ANSWERERS = {
  browser: (texts) => ask({ texts }),
  async function(texts) {
    const began = performance.now();
    const answer = await fetch('/classify?scores=all', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ texts }),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail);
    return { results: body.results, ms: performance.now() - began };
  },
};

const chosen = () => new FormData($('form')).get('where');

function say(text, isError = false) {
  $('status').textContent = text;
  $('status').classList.toggle('error', isError);
}

let asked = 0;
async function update() {
  const text = $('text').value;
  if (!contract || !text.trim()) return;
  const mine = ++asked;
  const where = chosen();
  await Promise.all(Object.entries(ANSWERERS).map(async ([name, answer]) => {
    try {
      if (name === 'function') await new Promise((done) => { setTimeout(done, PAUSE); });
      if (mine !== asked) return;
      const { results, pieces, ms } = await answer([text]);
      if (mine !== asked) return; // somebody typed on
      $(`${name}-ms`).textContent = `${ms.toFixed(1)} ms`;
      if (pieces) showPieces($('pieces'), pieces, contract);
      if (name === where) showAnswer($('answers'), results[0], contract);
    } catch (error) {
      if (mine !== asked) return;
      $(`${name}-ms`).textContent = 'no answer';
      if (name === where) say(error.message, true);
    }
  }));
  if (mine === asked) document.body.dataset.shown = `${where}: ${text}`;
}

async function download() {
  const lines = $('lines').value.split('\n').map((line) => line.trim()).filter(Boolean);
  try {
    const results = [];
    for (let n = 0; n < lines.length; n += BATCH) {
      results.push(...(await ANSWERERS[chosen()](lines.slice(n, n + BATCH))).results);
    }
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([csv(results, contract)], { type: 'text/csv' }));
    link.download = `${contract.name}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    say(error.message, true);
  }
}

$('form').addEventListener('input', update);
$('form').addEventListener('submit', (event) => event.preventDefault());
$('download').addEventListener('click', download);
try {
  const { wasm } = await (await fetch(new URL('assets.json', import.meta.url))).json();
  const bundle = new URL('bundle/', import.meta.url).href;
  const address = new URL(wasm.name, import.meta.url).href;
  const loaded = await ask({ load: { bundle, wasm: { ...wasm, address } } });
  contract = loaded.contract;
  say(`${loaded.model}, ready in ${loaded.ms.toFixed(0)} ms`);
  await update();
} catch (error) {
  say(error.message, true);
}
await navigator.serviceWorker?.register('playground/service.js', { scope: '/' });
