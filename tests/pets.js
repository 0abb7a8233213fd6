/** The small domain of conftest.py: its contract, vocabulary, and a model that is a bag of words. */
export const WORDS = '[PAD] [UNK] [CLS] [SEP] # + cat dog grey ##s ! > é'.split(' ');
export const VOCAB = new Map(WORDS.map((word, n) => [word, n]));

/** A contract of its own for each test to change. */
export function pets() {
  return {
    schema: 1,
    name: 'pets',
    version: '0.1.0',
    max_pieces: 12,
    tasks: [
      { name: 'animal', control: '#', kind: 'single', labels: ['yes', 'no'] },
      { name: 'kinds', control: '+', kind: 'multi', labels: ['cat', 'dog', 'grey'],
        only_if: { animal: 'yes' } },
    ],
  };
}

const WEIGHTS = { cat: [8, 0, 8, 0, 0], dog: [8, 0, 0, 8, 0], grey: [0, 0, 0, 0, 8],
  '[CLS]': [0, 4, -4, -4, -4] };

/** Every row of the logits is the sum of what the text's pieces weigh; `calls` counts the runs. */
export function bagOfWords() {
  const session = {
    columns: 5,
    calls: 0,
    async run(ids) {
      session.calls += 1;
      const bag = [0, 1, 2, 3, 4].map((column) =>
        ids.reduce((sum, id) => sum + (WEIGHTS[WORDS[id]]?.[column] ?? 0), 0));
      return Float32Array.from(ids.flatMap(() => bag));
    },
  };
  return session;
}
