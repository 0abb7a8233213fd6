/** Answers as CSV (RFC 4180): the text, and of each task its labels joined by `|` and the score. */
export function csv(results, contract) {
  const names = contract.tasks.map((task) => task.name);
  const rows = [['text', ...names.flatMap((name) => [name, `${name}_score`])]];
  for (const answer of results) {
    rows.push([answer.text, ...names.flatMap((name) => {
      const given = [answer[name] ?? []].flat();
      return [given.map((one) => one.label).join('|'), given.map((one) => one.score).join('|')];
    })]);
  }
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** A cell; behind an apostrophe where a spreadsheet would take it for a formula. */
function cell(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : String(text);
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
