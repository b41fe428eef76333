import { $, connect, el } from './look.js';

// While an answer is written, something arrives more often than this. Otherwise the page
// asks how far it is: the server may have been replaced, or a piece been lost at the end.
const ASK_AFTER = 15_000; // ms

const states = { writing: 'Writing', done: 'Complete', stopped: 'Stopped', failed: 'Failed', lost: 'The server no longer knows this answer: ask again' };

/** One answer on the page, of which n changes have been applied. */
class Answer {
  n = 0;
  state = 'writing';

  constructor(id, question) {
    this.id = id;
    this.text = el('div', { className: 'text', ariaLive: 'polite' });
    this.note = el('p', { className: 'state' });
    this.card = el('article', { className: 'card answer' }, el('h2', { textContent: question }), this.text, this.note);
    $('answers').prepend(this.card);
    this.set('writing');
  }

  set(state, error) {
    this.state = this.card.dataset.state = state;
    this.text.ariaBusy = String(state === 'writing'); // screen readers wait for the whole
    this.note.textContent = (states[state] ?? state) + (error ? `: ${error}` : '');
    controls(state === 'writing'); // of the last one: earlier ones do not change
  }
}

const client = connect();
let last; // the answer on top
let watch; // timer

function controls(writing) {
  $('ask').hidden = writing;
  $('stop').hidden = !writing;
  clearTimeout(watch);
  if (writing) watch = setTimeout(resume, ASK_AFTER);
}

function top(id, question) {
  if (last?.id === id) return last;
  if (last?.state === 'writing') last.set('lost');
  return (last = new Answer(id, question));
}

function problem(text) {
  $('problem').hidden = !text;
  $('problem').textContent = text;
}

async function resume() {
  if (last?.state === 'writing') controls(true);
  await client.sendEvent('resume').catch(() => {}); // a new connection resumes again
}

client.addEventListener('message', ({ detail: { data } }) => {
  switch (data?.type) {
    case 'answer': { // all of it
      const answer = top(data.id, data.question);
      if (data.n < answer.n) return; // overtaken by changes
      answer.text.textContent = data.text;
      answer.n = data.n;
      return answer.set(data.state, data.error);
    }
    case 'change': {
      if (data.id !== last?.id || data.n > last.n) return resume(); // something was missed
      if (data.n < last.n) return; // seen
      last.text.append(data.text ?? '');
      last.n++;
      return last.set(data.state, data.error);
    }
    case 'none':
      if (data.error) problem(`Not asked: ${data.error}.`);
      else if (last?.state === 'writing') last.set('lost');
  }
});

// A new connection was not there for what was sent before it. A recovered one has missed
// nothing.
client.addEventListener('connected', resume);

$('form').addEventListener('submit', async (e) => {
  e.preventDefault();
  if (last?.state === 'writing') return;
  problem('');
  const question = $('question').value;
  const id = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, '0')).join('');
  try {
    await client.sendEvent('ask', { id, question });
    $('question').value = '';
  } catch (error) {
    // On AWS Lambda the answer is written before the event is acknowledged.
    if (error.name !== 'Timeout') problem(`Not asked: ${error.message}`);
  }
});

$('stop').addEventListener('click', async () => {
  problem('');
  await client.sendEvent('stop').catch((error) => problem(`Not stopped: ${error.message}`));
});

client.start();
