// What all sections share: the emulator's description, the chosen hub and the
// journal as far as this page keeps it.

import { get, stream, APIError } from './api.js';

const kept = 3000;

export const state = {
  info: null,
  hubs: [],
  hub: '', // chosen, '' for none yet
  entries: [], // oldest first
  droppedHere: 0, // entries that this page no longer keeps
  online: false,
};

const listeners = new Map();

/** on calls f for each change of that name: info, hub, entries, online or restart. */
export function on(name, f, signal) {
  const set = listeners.get(name) ?? new Set();
  listeners.set(name, set);
  set.add(f);
  signal?.addEventListener('abort', () => set.delete(f));
}

function emit(name, value) {
  for (const f of listeners.get(name) ?? []) f(value);
}

export function chooseHub(name) {
  if (name === state.hub) return;
  state.hub = name;
  sessionStorage.setItem('hub', name);
  emit('hub');
}

export async function refresh() {
  const [info, hubs] = await Promise.all([get('/info'), get('/hubs', { limit: 200 })]);
  const restarted = state.info && state.info.instance !== info.instance;
  state.info = info;
  state.hubs = hubs.value;
  // A hub is chosen even if nothing has used it yet, so that every form works.
  if (!state.hub) {
    const saved = sessionStorage.getItem('hub');
    const names = state.hubs.map((h) => h.name);
    chooseHub(names.includes(saved) ? saved : names.find((n) => n === 'chat') ?? names[0] ?? 'chat');
  }
  emit('info');
  if (restarted) emit('restart');
}

let lastID = '';
let pending = [];

function add(entry) {
  pending.push(entry);
  if (pending.length === 1) requestAnimationFrame(flush);
}

// Under load thousands of entries come in a second: they are shown together.
function flush() {
  const entries = pending;
  pending = [];
  state.entries.push(...entries);
  if (state.entries.length > kept) state.droppedHere += state.entries.splice(0, state.entries.length - kept).length;
  emit('entries', entries);
}

function setOnline(online, error) {
  state.online = online;
  emit('online', error);
}

/** follow keeps the journal and the overview current, also when the emulator restarts. */
export async function follow() {
  let pause = 500;
  let instance = '';
  for (;;) {
    let error;
    try {
      await refresh();
      await stream(lastID, (type, data, id) => {
        if (type === 'start') {
          if (instance && instance !== data.instance) {
            state.entries = [];
            state.droppedHere = 0;
            emit('entries', []);
          }
          instance = data.instance;
          pause = 500;
          setOnline(true);
        } else if (type === 'entry') {
          add(data);
        } else if (type === 'dropped') {
          add({ id: data.first, time: new Date().toISOString(), kind: 'dropped', text: `${data.count} entries were removed before this page could read them`, warning: true, detail: 'none' });
        }
        if (id) lastID = id;
      });
    } catch (err) {
      error = err;
      if (err instanceof APIError && err.status === 400) lastID = ''; // of another start
    }
    setOnline(false, error);
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, 5000);
  }
}
