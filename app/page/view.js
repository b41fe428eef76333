// What the chat looks like: rooms with their messages, people, avatars. Every
// text goes in by textContent, so nothing that anybody writes becomes markup.

const KEPT = 500; // entries in a room's log
const SAME_BREATH = 5 * 60_000; // messages of one author are grouped within this

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** el makes an element; children are nodes or texts. */
export function el(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

/** avatar is a disc with the first letters of a name, in the name's own colour. */
export function avatar(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) % 9973;
  const words = name.split(/[\s._@-]+/).filter(Boolean);
  const letters = words.slice(0, 2).map((w) => [...w][0].toUpperCase()).join('');
  const disc = el('span', { className: 'avatar', textContent: letters || '?', ariaHidden: 'true' });
  disc.style.setProperty('--hue', (hash % 15) * 24); // far enough apart to tell
  return disc;
}

/** Room is one room: its log, who is there, and what is being sent. */
export class Room {
  people = new Set();
  typing = new Map(); // user → timer
  #seen = new Set();
  #last = {};

  constructor(name, me) {
    this.name = name;
    this.me = me;
    this.list = el('ol', {},
      el('li', { className: 'empty' }, el('strong', {}, 'This is #', el('bdi', { textContent: name })),
        el('span', { textContent: 'Messages are not stored. You see what is said while you are here.' })));
    this.log = el('div', { className: 'log', role: 'log', ariaLabel: `Messages in ${name}` }, this.list);
  }

  /** message adds one, unless it is there already: events are delivered at least once. */
  message({ id, user, name, text, time }) {
    const key = `${user}\n${id}`;
    if (id && this.#seen.has(key)) return undefined;
    this.#seen.add(key);
    const at = new Date(time ?? Date.now());
    this.#day(at);
    const own = user === this.me;
    const follows = this.#last.user === user && at - this.#last.at < SAME_BREATH;
    this.#last = { user, at, day: this.#last.day };

    const stamp = el('time', { dateTime: at.toISOString(), title: full.format(at), textContent: clock.format(at) });
    const by = el('p', { className: 'by' }, el('bdi', { textContent: own ? 'You' : name }), ' ', stamp);
    const bubble = el('p', { className: 'bubble', dir: 'auto', textContent: text });
    const item = el('li', { className: 'message' }, avatar(name), el('div', { className: 'body' }, by, bubble));
    item.classList.toggle('own', own);
    item.classList.toggle('follows', follows);
    this.#append(item);
    return item;
  }

  /** notice adds a quiet line, for example that somebody came. */
  notice(text, time = Date.now()) {
    this.#last.user = undefined;
    const at = new Date(time);
    this.#append(el('li', { className: 'notice' }, el('bdi', { textContent: text }), ' ',
      el('time', { dateTime: at.toISOString(), textContent: clock.format(at) })));
  }

  #day(at) {
    const day = at.toDateString();
    if (this.#last.day && this.#last.day !== day) this.#append(el('li', { className: 'notice', textContent: calendar.format(at) }));
    if (this.#last.day !== day) this.#last = { day };
  }

  #append(item) {
    this.list.append(item);
    if (this.list.children.length > KEPT) this.list.firstElementChild.remove();
  }
}

/** progress shows under an own message what becomes of it; no text means that it has arrived. */
export function progress(item, state, text, retry) {
  item.dataset.state = state;
  item.querySelector('.progress')?.remove();
  if (!text) return;
  const line = el('p', { className: 'progress' }, text);
  if (retry) line.append(' ', el('button', { type: 'button', className: 'quiet', textContent: 'Try again', onclick: retry }));
  item.querySelector('.body').append(line);
}

/** typingText says who is typing, or nothing. */
export function typingText(users) {
  switch (users.length) {
    case 0: return '';
    case 1: return `${users[0]} is typing`;
    case 2: return `${users[0]} and ${users[1]} are typing`;
    default: return 'Several people are typing';
  }
}
