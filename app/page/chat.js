// The chat: connects the client (client.js), the view (view.js) and what is stored in
// the browser (memory.js). ?name= and ?room= open a room directly, ?debug=1 shows the
// connection.

import { Client, negotiate } from './client.js';
import { Memory, stored } from './memory.js';
import { Room, avatar, el, progress, typingText } from './view.js';

const $ = (id) => document.getElementById(id);
const MAX_TEXT = 4000; // characters; the event handler has the same limit
const MAX_ROOMS = 16; // the event handler has the same limit
const FIRST_ROOMS = ['general', 'random', 'help'];
const ROOM_NAME = /^[\p{L}\p{N}][\p{L}\p{M}\p{N}_-]{0,31}$/u;
const TYPING_EVERY = 2_500;

const query = new URLSearchParams(location.search);
const names = document.body.dataset.names; // ask, platform, own or none: where the name of a user comes from
const rooms = new Map(); // those that the user is in
const outbox = new Map(); // id → message without an answer yet
const called = new Map(); // user id → readable name, if it is another

let memory; // of this user
let me = ''; // the user id
let myName = ''; // from negotiate
let asked = ''; // the name given at the gate
let current = ''; // the room on screen
let again = false; // whether there was a connection before this one
let skew = 0; // ms by which the clock of the service is ahead of this machine's

const group = (room) => `room.${room}`;
const nameOf = (user) => called.get(user) ?? user;
// crypto.randomUUID exists in secure contexts only, and a phone on the same
// network opens the page over plain http.
const newID = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
const now = () => Date.now() + skew;
const roomName = (s) => s.normalize('NFC').trim().replace(/^#/, '').replace(/\s+/g, '-').toLowerCase();

// ---- connection ----

const client = new Client(async () => {
  const url = await negotiate(names === 'ask' ? { userId: asked } : {});
  myName = url.searchParams.get('userName') ?? asked;
  // The event handler puts a new connection into these rooms.
  for (const room of rooms.values()) {
    room.joined = false;
    url.searchParams.append('room', room.name);
  }
  return url;
});

client.addEventListener('connected', ({ detail }) => {
  call(detail.userId, myName);
  setMe(detail.userId ?? asked);
  if (again) for (const room of rooms.values()) room.notice('Connected again.', now());
  again = true;
});

let online = false;
let countdown;
client.addEventListener('state', ({ detail: { state, retryAt } }) => {
  const text = { connecting: 'Connecting', connected: 'Connected', recovering: 'Reconnecting', waiting: 'Offline', stopped: '' }[state];
  $('status').dataset.state = state;
  $('status-text').textContent = text;
  clearInterval(countdown);
  $('banner').hidden = state === 'connected' || !me;
  $('retry').hidden = state !== 'waiting';
  const say = () => {
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    $('banner-text').textContent = state === 'waiting'
      ? `No connection. Trying again in ${seconds} s.`
      : 'Reconnecting. What you write is sent when the connection is back.';
  };
  say();
  if (state === 'waiting') countdown = setInterval(say, 500);
  online = state === 'connected';
  if (!online) return;
  for (const room of rooms.values()) room.failed = false;
  settle();
});

client.addEventListener('refused', ({ detail }) => showGate(detail.message));

client.addEventListener('disconnected', ({ detail }) => {
  rooms.get(current)?.notice(`The service closed the connection${detail.message ? `: ${detail.message}` : ''}`, now());
});

client.addEventListener('message', ({ detail: frame }) => {
  const { data } = frame;
  // Text without a sender comes from the server, for example from webpubsub send.
  if (frame.dataType === 'text' && !frame.fromUserId) {
    (frame.group ? roomOf(frame) : rooms.get(current))?.notice(`Server: ${data}`, now());
    return;
  }
  if (frame.dataType !== 'json' || typeof data !== 'object' || data === null) return;
  // What another member publishes has the sender's id. Messages and presence are
  // accepted from the event handler only, so that no user can imitate another.
  if (frame.fromUserId) {
    if (data.type === 'typing') roomOf(frame)?.people.type(frame.fromUserId);
    return;
  }
  if (data.time && data.type !== 'presence') skew = Date.parse(data.time) - Date.now();
  const room = rooms.get(data.room);
  switch (data.type) {
    case 'message': return room && received(room, data);
    case 'presence': return room && presence(room, data);
    case 'room': return room && entered(room, data);
    case 'sent': return outbox.get(data.id)?.done(data.time);
    case 'error': return outbox.has(data.id) ? outbox.get(data.id).failed(data.error) : (room ?? rooms.get(current))?.notice(data.error, now());
  }
});

function roomOf(frame) {
  return rooms.get(String(frame.group ?? '').replace(/^room\./, ''));
}

// settle enters each room that the connection has not entered yet, the one on screen
// first, and then sends the messages that wait for it.
let settling = false;
async function settle() {
  if (settling) return;
  settling = true;
  try {
    for (let room; online && (room = next()); ) await enter(room);
  } finally {
    settling = false;
  }
  for (const m of outbox.values()) if (m.waiting && m.room.joined) m.deliver();
}

function next() {
  const missing = (room) => room && !room.joined && !room.failed;
  return missing(rooms.get(current)) ? rooms.get(current) : [...rooms.values()].find(missing);
}

async function enter(room) {
  try {
    await client.sendEvent('join', { room: room.name });
    room.joined = true;
  } catch (e) {
    room.failed = true; // until the connection is back, or the room is opened again
    if (e.name !== 'ConnectionLost') room.notice(`#${room.name} could not be opened: ${e.message}`, now());
  }
}

// ---- messages ----

// entered shows who is in a room and what was said before.
function entered(room, { members, names: more = {}, history, complete }) {
  for (const [user, name] of Object.entries(more)) call(user, name);
  if (members) room.people.set(members);
  if (!history) {
    room.note.textContent = 'Earlier messages could not be loaded.';
    return;
  }
  if (!room.loaded) room.note.textContent = complete ? 'This is where it begins.' : 'Earlier messages are not shown.';
  else if (!complete && !history.some((m) => room.has(m))) room.notice('Some messages in between are not shown.', history[0]?.time);
  room.loaded = true;
  const until = memory.readUntil(room.name);
  for (const m of history) {
    // In a room that is new to the user nothing is unread.
    if (add(room, m) && m.user !== me && until !== undefined && m.time > until && room.name !== current) room.unread++;
  }
  if (room.name === current || until === undefined) memory.read(room.name, room.lastTime ?? new Date(0).toISOString());
  if (room.name === current) scrollToEnd();
  showUnread();
}

function received(room, data) {
  room.people.stopTyping(data.user);
  if (!add(room, data) || data.user === me) return;
  if (room.name === current && !document.hidden) {
    memory.read(room.name, data.time);
    $('newer').hidden = stuck;
    return;
  }
  if (room.name === current) $('newer').hidden = stuck;
  room.unread++;
  showUnread();
}

function add(room, data) {
  call(data.user, data.name);
  if (data.time > (room.lastTime ?? '')) room.lastTime = data.time;
  return room.message({ ...data, name: nameOf(data.user) });
}

function send(text) {
  const room = rooms.get(current);
  const m = { id: newID(), room, waiting: false };
  m.item = room.message({ id: m.id, user: me, name: nameOf(me) || asked, text, own: true, time: now() });
  m.done = (time) => {
    outbox.delete(m.id);
    progress(m.item, 'sent');
    if (time) room.setTime(m.id, time); // the order that the others see
  };
  m.failed = (why) => (outbox.delete(m.id), progress(m.item, 'failed', why, () => (outbox.set(m.id, m), m.deliver())));
  m.deliver = async () => {
    m.waiting = false;
    progress(m.item, 'sending');
    try {
      await client.sendEvent('message', { id: m.id, room: room.name, text });
      if (outbox.has(m.id)) m.done();
    } catch (e) {
      // The same id makes a second delivery of a message that did arrive harmless.
      m.waiting = e.name === 'ConnectionLost';
      if (m.waiting) progress(m.item, 'waiting', 'Waiting for the connection');
      else if (outbox.has(m.id)) m.failed('Not sent.');
    }
  };
  outbox.set(m.id, m);
  if (room.joined) m.deliver();
  else m.waiting = true;
  scrollToEnd();
}

// ---- people ----

// call notes what a user is called.
function call(user, name) {
  if (user && name) called.set(user, name);
}

function presence(room, { user, name, event, time }) {
  if (user === me) return;
  call(user, name);
  if (event === 'joined') room.people.join(user, time);
  else room.people.leave(user, time);
}

// ---- rooms ----

function open(name) {
  if (rooms.has(name)) return rooms.get(name);
  if (rooms.size >= MAX_ROOMS) {
    rooms.get(current)?.notice(`You are in ${MAX_ROOMS} rooms: leave one to open another.`, now());
    return undefined;
  }
  const room = new Room(name, me);
  rooms.set(name, room);
  room.people.addEventListener('joined', ({ detail }) => room.notice(`${nameOf(detail.user)} joined`, detail.time));
  room.people.addEventListener('left', ({ detail }) => room.notice(`${nameOf(detail.user)} left`, detail.time));
  room.people.addEventListener('change', () => name === current && showPeople());
  resized.observe(room.log);
  memory.rooms = [...rooms.keys()];
  return room;
}

function goTo(name) {
  if ($('side').matches(':popover-open')) $('side').hidePopover();
  if (open(name) && name !== current) show(name);
  if (matchMedia('(hover: hover)').matches) $('text').focus(); // no keyboard jumping up on a phone
}

function leave(name) {
  const room = rooms.get(name);
  rooms.delete(name);
  resized.unobserve(room.log);
  memory.rooms = [...rooms.keys()];
  memory.forget(name);
  for (const m of outbox.values()) if (m.room === room) outbox.delete(m.id);
  if (room.joined) client.sendEvent('leave', { room: name }).catch(() => {}); // a lost connection has left
  if (name === current) show(rooms.keys().next().value);
  else showRooms();
}

// ---- screen ----

// showGate asks for a name, or to sign in. Whether the user has signed in, and the
// readable name, is in the response of negotiate, so /.auth/me is not called.
function showGate(error) {
  $('chat').hidden = true;
  $('gate').hidden = false;
  const ask = names === 'ask';
  $('gate-fields').hidden = $('gate-go').hidden = !ask;
  $('name').disabled = !ask;
  $('gate-demo').hidden = !ask;
  $('gate-signin').hidden = names !== 'platform';
  $('gate-signin').href = `/.auth/login/aad?${new URLSearchParams({ post_login_redirect_uri: location.pathname + location.search })}`;
  $('gate-title').textContent = { ask: 'Join the chat', platform: 'Sign in to chat', own: 'Sign in to chat' }[names] ?? 'Nobody can join yet';
  $('gate-lede').hidden = !ask;
  $('gate-error').hidden = !error;
  $('gate-error').textContent = error ?? '';
  $('name').value ||= asked || stored('name') || '';
  $('room').value ||= current || '';
  document.title = 'Chat';
  if (ask) $('name').focus();
}

function setMe(user) {
  me = user;
  for (const room of rooms.values()) room.me = me;
  const name = nameOf(me) || asked;
  $('me-name').textContent = name;
  $('me-avatar').replaceChildren(...(name ? [avatar(name)] : []));
}

function start(name, room) {
  asked = name;
  memory = new Memory(name);
  const known = (memory.rooms ?? FIRST_ROOMS).filter((r) => ROOM_NAME.test(r));
  for (const r of known.includes(room) ? known : [...known.slice(0, MAX_ROOMS - 1), room]) open(r);
  $('gate').hidden = true;
  $('chat').hidden = false;
  setMe('');
  show(room);
  client.start();
}

function show(name) {
  current = name;
  const room = rooms.get(name);
  room.failed = false;
  if (!room.joined && online) settle();
  room.markNew(room.unread);
  seen();
  $('title').textContent = name;
  $('text').placeholder = `Write to #${name}`;
  $('logs').replaceChildren(room.log);
  showRooms();
  const link = new URLSearchParams({ ...(names === 'ask' && { name: asked }), room: name, ...(query.has('debug') && { debug: 1 }) });
  history.replaceState(null, '', `?${link}`);
  showPeople();
  scrollToEnd();
}

// seen notes that all of the room on screen is read.
function seen() {
  const room = rooms.get(current);
  room.unread = 0;
  if (room.lastTime) memory.read(current, room.lastTime);
  showUnread();
}

function showRooms() {
  $('rooms').replaceChildren(...[...rooms.values()].map((room) => {
    const close = el('button', { type: 'button', className: 'close', ariaLabel: `Leave #${room.name}`, textContent: '×', onclick: () => leave(room.name) });
    room.badge = el('span', { className: 'badge' });
    const entry = el('button', { type: 'button', className: 'entry', onclick: () => goTo(room.name), ariaCurrent: room.name === current ? 'true' : null },
      el('span', { className: 'hash', textContent: '#', ariaHidden: 'true' }), el('bdi', { textContent: room.name }), room.badge);
    return el('li', {}, entry, ...(rooms.size > 1 ? [close] : []));
  }));
  showUnread();
}

function showUnread() {
  let all = 0;
  for (const room of rooms.values()) {
    all += room.unread;
    if (!room.badge) continue;
    room.badge.textContent = room.unread > 99 ? '99+' : room.unread || '';
    room.badge.ariaLabel = room.unread ? `${room.unread} unread` : null;
  }
  const elsewhere = all - (rooms.get(current)?.unread ?? 0);
  $('menu-badge').hidden = !elsewhere;
  $('menu').ariaLabel = elsewhere ? `Rooms and people, ${elsewhere} unread` : 'Rooms and people';
  document.title = `${all ? `(${all}) ` : ''}#${current} · Chat`;
}

function showPeople() {
  const { present, typing } = rooms.get(current).people;
  const people = [...new Set(me ? [me, ...present] : present)].sort((a, b) => (b === me) - (a === me) || nameOf(a).localeCompare(nameOf(b)));
  $('here').textContent = people.length > 1 ? `${people.length} people here` : people.length ? 'Only you here' : '';
  $('people').replaceChildren(...people.map((p) =>
    el('li', {}, avatar(nameOf(p)), el('bdi', { textContent: nameOf(p) }), ...(p === me ? [el('span', { className: 'you', textContent: 'you' })] : []))));
  $('typing').textContent = typingText(typing.map(nameOf));
}

// The log stays at its end while it grows or its window shrinks, unless the
// reader has gone back.
let stuck = true;
const resized = new ResizeObserver(() => stuck && scrollToEnd());
resized.observe($('logs'));

function scrollToEnd() {
  stuck = true;
  $('logs').scrollTop = $('logs').scrollHeight;
  $('newer').hidden = true;
}

// ---- what the user does ----

$('join').addEventListener('submit', (e) => {
  e.preventDefault();
  const name = $('name').value.trim();
  const room = roomName($('room').value || 'general');
  $('room').setCustomValidity(ROOM_NAME.test(room) ? '' : 'A room name is made of letters, digits, - and _.');
  if (!name || !$('join').reportValidity()) return;
  stored('name', name);
  start(name, room);
  $('text').focus();
});

$('room').addEventListener('input', () => $('room').setCustomValidity(''));

$('open-room').addEventListener('submit', (e) => {
  e.preventDefault();
  const input = $('new-room');
  const room = roomName(input.value);
  input.setCustomValidity(!room || ROOM_NAME.test(room) ? '' : 'A room name is made of letters, digits, - and _.');
  if (!room || !input.reportValidity()) return;
  input.value = '';
  goTo(room);
});

$('new-room').addEventListener('input', () => $('new-room').setCustomValidity(''));

let typedAt = 0;
$('text').addEventListener('input', () => {
  const length = [...$('text').value.trim()].length;
  const tooLong = length > MAX_TEXT;
  if (!CSS.supports('field-sizing', 'content')) {
    $('text').style.height = 'auto';
    $('text').style.height = `${$('text').scrollHeight}px`;
  }
  $('send').disabled = !length || tooLong;
  $('text').setCustomValidity(tooLong ? `A message has at most ${MAX_TEXT} characters; this one has ${length}.` : '');
  $('compose').dataset.over = tooLong ? `${length} of ${MAX_TEXT} characters` : '';
  if (length && rooms.get(current).joined && Date.now() - typedAt > TYPING_EVERY) {
    typedAt = Date.now();
    client.publish(group(current), { type: 'typing' });
  }
});

$('text').addEventListener('keydown', (e) => {
  if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    $('compose').requestSubmit();
  }
});

$('compose').addEventListener('submit', (e) => {
  e.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  $('text').value = '';
  $('text').dispatchEvent(new Event('input'));
  typedAt = 0;
  send(text);
  $('text').focus();
});

$('logs').addEventListener('scroll', () => {
  stuck = $('logs').scrollHeight - $('logs').scrollTop - $('logs').clientHeight < 60;
  if (stuck) $('newer').hidden = true;
});
$('newer').addEventListener('click', scrollToEnd);
$('retry').addEventListener('click', () => client.retry());
if (names === 'platform') $('leave').textContent = 'Sign out';
$('leave').addEventListener('click', () => {
  if (names === 'platform') {
    location.assign(`/.auth/logout?${new URLSearchParams({ post_logout_redirect_uri: location.pathname })}`);
    return;
  }
  if ($('side').matches(':popover-open')) $('side').hidePopover();
  client.stop();
  rooms.clear();
  outbox.clear();
  again = false;
  if (names === 'ask') history.replaceState(null, '', location.pathname);
  showGate(names === 'ask' ? undefined : 'You have left the chat. Reload the page to come back.');
});
document.addEventListener('visibilitychange', () => !document.hidden && rooms.has(current) && seen());

// A page that goes away closes the connection, so that the others see it soon.
addEventListener('pagehide', () => client.stop());
addEventListener('pageshow', (e) => e.persisted && !$('chat').hidden && client.start());

if (query.has('debug')) {
  $('debug').hidden = false;
  $('debug-cut').addEventListener('click', () => client.drop(4_000));
  setInterval(() => {
    $('debug-id').textContent = client.info.connectionId ?? 'none';
    $('debug-seq').textContent = client.info.sequenceId;
  }, 500);
}

const name = (query.get('name') ?? '').trim();
const room = roomName(query.get('room') ?? 'general');
if (names !== 'ask') start('', ROOM_NAME.test(room) ? room : 'general');
else if (name && ROOM_NAME.test(room)) start(name, room);
else {
  $('name').value = name;
  $('room').value = query.get('room') ?? '';
  showGate();
}
