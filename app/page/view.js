// How the chat looks: rooms with their messages, people, avatars. Texts are added
// as text nodes, so that nothing that users write becomes markup.

import { People } from './people.js';

const KEPT = 500; // entries in a room's log
const TRIMMED = 50; // how many are removed together
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

const URL_IN_TEXT = /https?:\/\/[^\s<>"]+/gi;

/** linked returns the parts of a text: strings, and links for the URLs in it. */
export function linked(text) {
  const parts = [];
  let end = 0;
  for (const m of text.matchAll(URL_IN_TEXT)) {
    const address = trimmed(m[0]);
    if (!URL.canParse(address)) continue;
    parts.push(text.slice(end, m.index), el('a', { href: address, target: '_blank', rel: 'noopener noreferrer', textContent: address }));
    end = m.index + address.length;
  }
  parts.push(text.slice(end));
  return parts.filter((p) => p !== '');
}

// trimmed takes off what belongs to the sentence around a URL.
function trimmed(address) {
  address = address.replace(/[.,;:!?'*_…]+$/, '');
  for (const [open, close] of ['()', '[]', '{}']) {
    while (address.endsWith(close) && address.split(open).length < address.split(close).length) address = address.slice(0, -1);
  }
  return address.replace(/[.,;:!?'*_…]+$/, '');
}

/** Room is one room: its log, who is there, and what of it is unread. */
export class Room {
  people = new People();
  unread = 0;
  joined = false; // whether this connection is in the room
  failed = false; // whether it could not be opened
  loaded = false; // whether what was said before is known
  lastTime; // of the last message
  #entries = []; // by time
  #messages = new Map(); // by key
  #firstNew; // the entry above which the line "New" is

  constructor(name, me) {
    this.name = name;
    this.me = me;
    this.note = el('span');
    this.list = el('ol', {}, el('li', { className: 'empty' }, el('strong', {}, 'This is #', el('bdi', { textContent: name })), this.note));
    this.log = el('div', { className: 'log', role: 'log', ariaLabel: `Messages in ${name}` }, this.list);
  }

  /** has reports whether there is a message already: it can be delivered, and be part of the history. */
  has(m) {
    return this.#messages.has(this.#key(m));
  }

  // An own message is known by its ID alone: the first ones are written before
  // the service has said what the user's ID is.
  #key({ id, user, own = user === this.me }) {
    return own ? id : `${user}\n${id}`;
  }

  /** message adds one where it belongs by time, and returns its element; nothing if it is there already. */
  message({ id, user, name, text, time, own = user === this.me }) {
    const key = this.#key({ id, user, own });
    if (this.#messages.has(key)) return undefined;
    const at = new Date(time);
    const stamp = el('time', { dateTime: at.toISOString(), title: full.format(at), textContent: clock.format(at) });
    const by = el('p', { className: 'by' }, el('bdi', { textContent: own ? 'You' : name }), ' ', stamp);
    const bubble = el('p', { className: 'bubble', dir: 'auto' }, ...linked(text));
    const node = el('li', { className: 'message' }, avatar(name), el('div', { className: 'body' }, by, bubble));
    node.classList.toggle('own', own);
    const entry = { at, node, key, own, author: own ? '' : user };
    this.#messages.set(key, entry);
    this.#insert(entry);
    return node;
  }

  /** setTime moves an own message to where it belongs by the time that the service has given it. */
  setTime(id, time) {
    const entry = this.#messages.get(id);
    if (!entry) return;
    entry.at = new Date(time);
    const stamp = entry.node.querySelector('time');
    Object.assign(stamp, { dateTime: entry.at.toISOString(), title: full.format(entry.at), textContent: clock.format(entry.at) });
    const before = this.#entries.indexOf(entry);
    this.#entries.sort((a, b) => a.at - b.at); // stable
    if (this.#entries.indexOf(entry) !== before) this.#layOut();
  }

  /** notice adds a quiet line, for example that a user came. */
  notice(text, time) {
    const at = new Date(time);
    const stamp = el('time', { dateTime: at.toISOString(), textContent: clock.format(at) });
    this.#insert({ at, node: el('li', { className: 'notice' }, el('bdi', { textContent: text }), ' ', stamp) });
  }

  /** markNew puts the line "New" above the first of the last n messages of others, or takes it away. */
  markNew(n) {
    this.#firstNew = undefined;
    for (let i = this.#entries.length - 1; i >= 0 && n > 0; i--) {
      const entry = this.#entries[i];
      if (!entry.author) continue; // a notice, or an own message
      this.#firstNew = entry;
      n--;
    }
    this.#layOut();
  }

  #insert(entry) {
    let i = this.#entries.length;
    while (i > 0 && this.#entries[i - 1].at > entry.at) i--;
    this.#entries.splice(i, 0, entry);
    if (this.#entries.length > KEPT) {
      for (const old of this.#entries.splice(0, TRIMMED)) this.#messages.delete(old.key);
      this.note.textContent = 'Earlier messages are not shown.';
    } else if (i === this.#entries.length - 1) {
      this.list.append(...this.#nodes(entry, this.#entries[i - 1]));
      return;
    }
    this.#layOut();
  }

  #layOut() {
    this.list.ariaBusy = 'true'; // a screen reader must not read all of it again
    this.list.replaceChildren(this.list.firstElementChild, ...this.#entries.flatMap((e, i) => this.#nodes(e, this.#entries[i - 1])));
    this.list.ariaBusy = 'false';
  }

  // nodes returns an entry with what comes before it: the day, if it is another
  // than that of the previous entry, and the line "New".
  #nodes(entry, previous) {
    const nodes = [];
    const day = (previous?.at ?? new Date()).toDateString();
    if (entry.at.toDateString() !== day) nodes.push(el('li', { className: 'notice day', textContent: calendar.format(entry.at) }));
    if (entry === this.#firstNew) nodes.push(el('li', { className: 'new' }, el('span', { textContent: 'New' })));
    const follows = nodes.length === 0 && entry.author !== undefined && previous?.author === entry.author && entry.at - previous.at < SAME_BREATH;
    entry.node.classList.toggle('follows', follows);
    return [...nodes, entry.node];
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

/** typingText names those who are typing; empty if there are none. */
export function typingText(users) {
  switch (users.length) {
    case 0: return '';
    case 1: return `${users[0]} is typing`;
    case 2: return `${users[0]} and ${users[1]} are typing`;
    default: return 'Several people are typing';
  }
}
