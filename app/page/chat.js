// The chat: joins what happens on the connection (client.js) to what is seen
// (view.js). ?name= and ?room= open a room directly, ?debug=1 shows the connection.

import { Client, RefusedError } from './client.js';
import { Room, avatar, el, progress, typingText } from './view.js';

const $ = (id) => document.getElementById(id);
const MAX_TEXT = 4000; // characters, as the event handler has it
const ROOM_NAME = /^[\p{L}\p{N}][\p{L}\p{M}\p{N}_-]{0,31}$/u;
const TYPING_EVERY = 2_500;
const TYPING_FOR = 5_000;

const query = new URLSearchParams(location.search);
const names = document.body.dataset.names; // ask, platform or none: who says what a user is called
const rooms = new Map();
const outbox = new Map(); // id → message without an answer yet

const called = new Map(); // user id → readable name, if it is another

let me = ''; // the user id, as the service has it
let myName = ''; // as negotiate has it
let asked = ''; // the name given at the gate
let current = ''; // the room on screen
let joined = ''; // the room that the connection is in, as the event handler has it
let greeted = false; // whether this connection has asked who is there
let again = false; // whether there was a connection before this one
let unread = 0;

const group = (room) => `room.${room}`;
const nameOf = (user) => called.get(user) ?? user;
// crypto.randomUUID exists in secure contexts only, and a phone on the same
// network opens the page over plain http.
const newID = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
const roomName = (s) => s.normalize('NFC').trim().replace(/^#/, '').replace(/\s+/g, '-').toLowerCase();

// ---- connection ----

const client = new Client(async () => {
  const ask = names === 'ask' ? `?${new URLSearchParams({ userId: asked })}` : '';
  const answer = await fetch(`negotiate${ask}`, { method: 'POST', redirect: 'manual' });
  // App Service redirects who is not signed in to a page of another site.
  if (answer.type === 'opaqueredirect') throw new RefusedError('Your sign-in has expired.');
  const body = await answer.json().catch(() => ({}));
  if ([400, 401, 403].includes(answer.status)) throw new RefusedError(body.error ?? `Negotiate answered ${answer.status}.`);
  if (!answer.ok) throw new Error(body.error ?? `Negotiate answered ${answer.status}.`);
  const url = new URL(body.url);
  myName = url.searchParams.get('userName') ?? asked;
  joined = current; // the event handler puts a new connection into this room
  greeted = false;
  url.searchParams.set('room', joined);
  return url;
});

client.addEventListener('connected', ({ detail }) => {
  call(detail.userId, myName);
  setMe(detail.userId ?? asked);
  if (again) rooms.get(current).notice('Connected again. What was said in between is not shown.');
  again = true;
});

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
  if (state === 'connected') settle();
});

client.addEventListener('refused', ({ detail }) => showGate(detail.message));

client.addEventListener('disconnected', ({ detail }) => {
  rooms.get(current)?.notice(`The service closed the connection${detail.message ? `: ${detail.message}` : ''}`);
});

client.addEventListener('message', ({ detail: frame }) => {
  const { data } = frame;
  // Text without a sender comes from the server, for example from webpubsub send.
  if (frame.dataType === 'text' && !frame.fromUserId) {
    (frame.group ? roomOf(frame) : rooms.get(current))?.notice(`Server: ${data}`);
    return;
  }
  if (frame.dataType !== 'json' || typeof data !== 'object' || data === null) return;
  // Whatever another member publishes carries the sender's id. Only the event
  // handler may say who wrote what and who came, so that nobody can be imitated.
  if (frame.fromUserId) {
    if (data.type === 'typing') typing(roomOf(frame), frame.fromUserId);
    return;
  }
  const room = rooms.get(data.room);
  switch (data.type) {
    case 'message': return received(room, data);
    case 'presence': return presence(room, data);
    case 'room': return room && setPeople(room, data);
    case 'sent': return outbox.get(data.id)?.done();
    case 'error': return outbox.has(data.id) ? outbox.get(data.id).failed(data.error) : rooms.get(current)?.notice(data.error);
  }
});

// settle brings the connection into the room on screen, then sends what waits.
let settling = false;
async function settle() {
  if (settling) return;
  settling = true;
  try {
    if (!greeted) await client.sendEvent('join', { room: joined });
    greeted = true;
    while (joined !== current) {
      const [from, to] = [joined, current];
      await client.joinGroup(group(to));
      await client.sendEvent('join', { room: to });
      joined = to;
      client.leaveGroup(group(from)).catch(() => {});
    }
  } catch (e) {
    if (e.name !== 'ConnectionLost') {
      rooms.get(current)?.notice(`#${current} could not be opened: ${e.message}`);
      if (current !== joined) show(joined);
    }
  } finally {
    settling = false;
  }
  for (const m of outbox.values()) if (m.waiting && m.room === joined) m.deliver();
}

// ---- messages ----

function received(room, data) {
  if (!room) return;
  call(data.user, data.name);
  stopTyping(room, data.user);
  if (!room.message(data) || room.name !== current) return;
  $('newer').hidden = stuck;
  if (document.hidden && data.user !== me) title(unread + 1);
}

function send(text) {
  const room = rooms.get(current);
  const m = { id: newID(), room: current, waiting: false };
  m.item = room.message({ id: m.id, user: me || asked, name: nameOf(me) || asked, text });
  m.done = () => (outbox.delete(m.id), progress(m.item, 'sent'));
  m.failed = (why) => (outbox.delete(m.id), progress(m.item, 'failed', why, () => (outbox.set(m.id, m), m.deliver())));
  m.deliver = async () => {
    m.waiting = false;
    progress(m.item, 'sending');
    try {
      await client.sendEvent('message', { id: m.id, text });
      if (outbox.has(m.id)) m.done();
    } catch (e) {
      // The same id makes a second delivery of a message that did arrive harmless.
      m.waiting = e.name === 'ConnectionLost';
      if (m.waiting) progress(m.item, 'waiting', 'Waiting for the connection');
      else if (outbox.has(m.id)) m.failed('Not sent.');
    }
  };
  outbox.set(m.id, m);
  if (joined === current) m.deliver();
  else m.waiting = true;
  scrollToEnd();
}

// ---- people ----

// call notes what a user is called.
function call(user, name) {
  if (user && name) called.set(user, name);
}

function setPeople(room, { members, names = {} }) {
  for (const [user, name] of Object.entries(names)) call(user, name);
  if (members) room.people = new Set(members);
  room.people.add(me);
  if (room.name === current) showPeople();
}

function presence(room, { user, name, event, time }) {
  if (!room || user === me) return;
  call(user, name);
  const known = room.people.has(user);
  if ((event === 'joined') === known) return; // another window of the same person
  if (event === 'joined') room.people.add(user);
  else room.people.delete(user);
  stopTyping(room, user);
  room.notice(`${nameOf(user)} ${event === 'joined' ? 'joined' : 'left'}`, time);
  if (room.name === current) showPeople();
}

function roomOf(frame) {
  return rooms.get(String(frame.group ?? '').replace(/^room\./, ''));
}

function typing(room, user) {
  if (!room) return;
  clearTimeout(room.typing.get(user));
  room.typing.set(user, setTimeout(() => stopTyping(room, user), TYPING_FOR));
  showTyping();
}

function stopTyping(room, user) {
  clearTimeout(room.typing.get(user));
  if (room.typing.delete(user)) showTyping();
}

// ---- screen ----

function showGate(error) {
  $('chat').hidden = true;
  $('gate').hidden = false;
  const ask = names === 'ask';
  $('gate-fields').hidden = $('gate-go').hidden = !ask;
  $('name').disabled = !ask;
  $('gate-demo').hidden = !ask;
  $('gate-signin').hidden = names !== 'platform';
  $('gate-signin').href = `/.auth/login/aad?${new URLSearchParams({ post_login_redirect_uri: location.pathname + location.search })}`;
  $('gate-title').textContent = { ask: 'Join the chat', platform: 'Sign in to chat' }[names] ?? 'Nobody can join yet';
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
  $('me-name').textContent = nameOf(me);
  $('me-avatar').replaceChildren(...(me ? [avatar(nameOf(me))] : []));
}

function enter(name, room) {
  asked = name;
  for (const r of ['general', 'random', 'help', room]) open(r);
  $('gate').hidden = true;
  $('chat').hidden = false;
  setMe(name);
  show(room);
  client.start();
}

function open(name) {
  if (!rooms.has(name)) {
    rooms.set(name, new Room(name, me));
    resized.observe(rooms.get(name).log);
  }
  return rooms.get(name);
}

function show(name) {
  const room = open(name);
  current = name;
  if (joined && joined !== current) settle();
  for (const m of outbox.values()) if (m.waiting && m.room !== current) m.failed('Not sent.');
  $('title').textContent = name;
  $('text').placeholder = `Write to #${name}`;
  $('logs').replaceChildren(room.log);
  $('rooms').replaceChildren(...[...rooms.keys()].map((r) =>
    el('li', {}, el('button', { type: 'button', onclick: () => goTo(r), ariaCurrent: r === name ? 'true' : null },
      el('span', { className: 'hash', textContent: '#', ariaHidden: 'true' }), el('bdi', { textContent: r })))));
  const link = new URLSearchParams({ ...(names === 'ask' && { name: asked }), room: name, ...(query.has('debug') && { debug: 1 }) });
  history.replaceState(null, '', `?${link}`);
  showPeople();
  showTyping();
  title(0);
  scrollToEnd();
}

function goTo(name) {
  if ($('side').matches(':popover-open')) $('side').hidePopover();
  if (name !== current) show(name);
  if (matchMedia('(hover: hover)').matches) $('text').focus(); // no keyboard jumping up on a phone
}

function showPeople() {
  const people = [...rooms.get(current).people].sort((a, b) => (b === me) - (a === me) || nameOf(a).localeCompare(nameOf(b)));
  $('here').textContent = people.length > 1 ? `${people.length} people here` : people.length ? 'Only you here' : '';
  $('people').replaceChildren(...people.map((p) =>
    el('li', {}, avatar(nameOf(p)), el('bdi', { textContent: nameOf(p) }), ...(p === me ? [el('span', { className: 'you', textContent: 'you' })] : []))));
}

function showTyping() {
  $('typing').textContent = typingText([...(rooms.get(current)?.typing.keys() ?? [])].map(nameOf));
}

function title(n) {
  unread = n;
  document.title = `${n ? `(${n}) ` : ''}#${current} · Chat`;
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

// Storage may be forbidden; then the name is asked for again.
function stored(key, value) {
  try {
    return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value);
  } catch {
    return null;
  }
}

// ---- what the user does ----

$('join').addEventListener('submit', (e) => {
  e.preventDefault();
  const name = $('name').value.trim();
  const room = roomName($('room').value || 'general');
  $('room').setCustomValidity(ROOM_NAME.test(room) ? '' : 'A room name is made of letters, digits, - and _.');
  if (!name || !$('join').reportValidity()) return;
  stored('name', name);
  enter(name, room);
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
  if (length && joined === current && Date.now() - typedAt > TYPING_EVERY) {
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
  joined = '';
  again = false;
  if (names === 'ask') history.replaceState(null, '', location.pathname);
  showGate(names === 'ask' ? undefined : 'You have left the chat. Reload the page to come back.');
});
document.addEventListener('visibilitychange', () => !document.hidden && current && title(0));

// A page that goes away closes the connection, so that the others see it at once.
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
if (names !== 'ask') enter('', ROOM_NAME.test(room) ? room : 'general');
else if (name && ROOM_NAME.test(room)) enter(name, room);
else {
  $('name').value = name;
  $('room').value = query.get('room') ?? '';
  showGate();
}
