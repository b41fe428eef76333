import { h, panel, empty, field, select, check, attempt } from './dom.js';
import { download } from './api.js';
import { state, on } from './state.js';
import { entryRow } from './entries.js';

const shownCauses = 150;
const kinds = ['connected', 'interrupted', 'recovered', 'disconnected', 'rejected', 'joined', 'left', 'sent', 'event', 'eventFailed', 'eventRetried', 'rest', 'reloaded', 'fault', 'control'];

export default function traffic(signal, query) {
  const search = h('input', { type: 'search', placeholder: 'text', value: query.get('search') ?? '' });
  const kind = select([{ value: '', label: 'any' }, ...kinds], query.get('kind') ?? '');
  const connection = h('input', { type: 'search', placeholder: 'connection id', value: query.get('connectionId') ?? '' });
  const problems = check('Problems only');
  const all = check('All hubs');
  const list = h('div');
  const note = h('p', { className: 'small soft', role: 'status' });
  const pause = h('button', { type: 'button' }, 'Pause');
  let frozen; // the entries to show while paused

  const wanted = () => {
    const text = search.value.toLowerCase();
    return (frozen ?? state.entries).filter((e) =>
      (all.input.checked || !e.hub || e.hub === state.hub) && (!kind.value || e.kind === kind.value) && (!problems.input.checked || e.warning) &&
      (!connection.value || (e.connectionId ?? '').includes(connection.value)) && (!text || e.text.toLowerCase().includes(text)));
  };

  // An event is listed with what followed from it, in the order in which it happened;
  // the newest cause is on top.
  function groups(entries) {
    const byCause = new Map();
    for (const e of entries) {
      const key = e.cause ? 'c' + e.cause : 'e' + e.id;
      const group = byCause.get(key);
      if (group) {
        byCause.delete(key); // moves to the end: something new followed
        group.push(e);
        byCause.set(key, group);
      } else {
        byCause.set(key, [e]);
      }
    }
    return [...byCause.entries()].slice(-shownCauses).reverse();
  }

  let drawn = new Map(); // boxes by key, kept so that what is open stays open
  function draw() {
    const entries = wanted();
    const now = groups(entries);
    const boxes = new Map();
    for (const [key, group] of now) {
      let old = drawn.get(key);
      if (!old || old.count !== group.length) {
        const open = old?.box.querySelector('[aria-expanded=true]');
        if (!open) old = { count: group.length, box: h('div', { className: 'cause' + (group.some((e) => e.warning) ? ' warning' : '') }, group.map(entryRow)) };
      }
      boxes.set(key, old);
    }
    drawn = boxes;
    list.replaceChildren(...[...boxes.values()].map((b) => b.box));
    if (now.length === 0) {
      list.replaceChildren(state.entries.length
        ? empty('Nothing matches.')
        : empty('Nothing has happened yet.', h('p', {}, h('a', { className: 'button', href: '#/clients' }, 'Open a test client'))));
    }
    const waiting = frozen ? state.entries.length - frozen.length + (state.droppedHere - droppedAtPause) : 0;
    pause.textContent = frozen ? `Continue${waiting > 0 ? ` (${waiting} new)` : ''}` : 'Pause';
    const dropped = state.info?.journal?.dropped ?? 0;
    note.textContent = `${entries.length} ${entries.length === 1 ? 'entry' : 'entries'}${now.length < entries.length ? `, grouped by ${now.length === shownCauses ? 'the newest ' : ''}${now.length} causes` : ''}. This page keeps ${state.entries.length} entries${state.droppedHere ? ` and has dropped ${state.droppedHere}` : ''}; the emulator keeps ${state.info?.journal?.maxEntries ?? ''}${dropped ? ` and has removed ${dropped}` : ''}.`;
  }

  let droppedAtPause = 0;
  function setPaused(on) {
    frozen = on ? [...state.entries] : undefined;
    droppedAtPause = state.droppedHere;
    pause.setAttribute('aria-pressed', String(on));
    draw();
  }
  pause.addEventListener('click', () => setPaused(!frozen));
  // The list does not change while an entry is open.
  list.addEventListener('reading', () => { if (!frozen && list.querySelector('[aria-expanded=true]')) setPaused(true); });

  let scheduled = false;
  const soon = () => {
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => { scheduled = false; if (!signal.aborted) draw(); }, frozen ? 400 : 120);
  };
  for (const el of [search, connection]) el.addEventListener('input', draw);
  for (const el of [kind, problems.input, all.input]) el.addEventListener('change', draw);
  on('entries', soon, signal);
  on('hub', draw, signal);
  draw();
  return panel('Traffic', [pause,
    h('button', { type: 'button', onclick: () => { state.droppedHere += state.entries.length; state.entries = []; drawn = new Map(); if (frozen) setPaused(false); else draw(); } }, 'Clear'),
    h('button', { type: 'button', onclick: attempt(() => download('/journal/export', 'journal.jsonl')) }, 'Export')],
  h('div', { className: 'stack' },
    h('div', { className: 'row' }, field('Search', search, 'grow'), field('Kind', kind), field('Connection', connection), problems.label, all.label),
    note, list));
}
