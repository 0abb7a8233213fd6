/** What the page shows of an answer. */
const MOST = 8; // bars of a task; the surest ones

/** `answer` with `scores`, a bar a label, into `place`. */
export function showAnswer(place, answer, contract) {
  place.replaceChildren(...contract.tasks.map((task) => {
    const found = answer[task.name];
    const given = [found ?? []].flat();
    const title = element('h3', {}, `${task.name} `);
    if (found === null) title.append(element('em', {}, 'does not apply'));
    else if (given.length === 0) title.append(element('em', {}, 'none'));
    else if (given.some((one) => one.abstain)) title.append(element('em', {}, 'unsure: ask a person'));
    const scores = Object.entries(answer.scores[task.name]).sort((a, b) => b[1] - a[1]).slice(0, MOST);
    const bars = scores.map(([label, score]) => {
      const percent = `${(100 * score).toFixed(1)} %`;
      const bar = element('div', { className: 'bar' }, element('span', {}, label.replaceAll('_', ' ')),
        element('i', {}), element('b', {}, percent));
      bar.children[1].style.setProperty('--p', `${100 * score}%`);
      bar.children[1].setAttribute('aria-hidden', 'true');
      if (given.some((one) => one.label === label)) {
        bar.classList.add('given');
        bar.dataset.label = label;
      }
      return bar;
    });
    const section = element('div', { className: 'task' }, title, ...bars);
    section.dataset.task = task.name;
    return section;
  }));
}

/** The pieces of a sequence; the control tokens, the last ones before [SEP], marked. */
export function showPieces(place, pieces, contract) {
  const controls = pieces.length - 1 - contract.tasks.length;
  place.replaceChildren(...pieces.map((piece, n) => {
    const last = n === pieces.length - 1;
    const item = element('li', {}, piece);
    if (n === 0 || last) item.className = 'special';
    else if (n >= controls) {
      item.className = 'control';
      item.title = `asks for ${contract.tasks[n - controls].name}`;
    }
    return item;
  }));
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
