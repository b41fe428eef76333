import { h, toast } from './dom.js';
import { state, on, chooseHub, refresh, follow } from './state.js';
import overview from './overview.js';
import connections from './connections.js';
import traffic from './traffic.js';
import clients from './clients.js';
import rest from './rest.js';
import faults from './faults.js';

const sections = { overview, connections, traffic, clients, rest, faults };
const titles = { overview: 'Overview', connections: 'Connections', traffic: 'Traffic', clients: 'Clients', rest: 'REST', faults: 'Faults' };
const byID = (id) => document.getElementById(id);

for (const [name, title] of Object.entries(titles)) {
  byID('nav').append(h('li', {}, h('a', { href: '#/' + name, id: 'to-' + name }, title)));
}

let leave = new AbortController();

function show() {
  const [name, query] = location.hash.slice('#/'.length).split('?');
  const section = sections[name] ? name : 'overview';
  leave.abort(); // what the section before listened to
  leave = new AbortController();
  for (const n of Object.keys(titles)) {
    if (n === section) byID('to-' + n).setAttribute('aria-current', 'page');
    else byID('to-' + n).removeAttribute('aria-current');
  }
  document.title = `${titles[section]} – Web PubSub emulator`;
  byID('view').replaceChildren(...[sections[section](leave.signal, new URLSearchParams(query))].flat());
}

// A fragment without the slash would be the ID of an element, and the link with it
// a skip link for assistive technology.
addEventListener('hashchange', () => {
  if (location.hash === '#view') return; // the skip link keeps the section
  show();
  byID('view').focus({ preventScroll: true });
  scrollTo(0, 0);
});

byID('hub').addEventListener('change', (e) => chooseHub(e.target.value));

function showHubs() {
  const names = [...new Set([...state.hubs.map((hub) => hub.name), state.hub])].filter(Boolean);
  const current = [...byID('hub').options].map((o) => o.value);
  if (names.join('\n') !== current.join('\n')) byID('hub').replaceChildren(...names.map((n) => h('option', { value: n }, n)));
  byID('hub').value = state.hub;
}
on('info', showHubs);
on('hub', showHubs);

on('online', (error) => {
  byID('status').firstElementChild.className = 'dot ' + (state.online ? 'ok' : 'down');
  byID('status-text').textContent = state.online ? `live, version ${state.info.version}` : error ? error.message : 'The emulator does not respond. Trying again…';
});
on('restart', () => {
  byID('notice').hidden = false;
  byID('notice').replaceChildren(
    'The emulator was restarted: connections and journal are those of the new start.',
    h('button', { type: 'button', onclick: () => { byID('notice').hidden = true; } }, 'Dismiss'),
  );
  show();
});

// The colors follow the system until they are chosen here.
const dark = matchMedia('(prefers-color-scheme: dark)');
const applyTheme = () => { document.documentElement.dataset.theme = localStorage.getItem('theme') ?? (dark.matches ? 'dark' : 'light'); };
dark.addEventListener('change', applyTheme);
byID('theme').addEventListener('click', () => {
  localStorage.setItem('theme', document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
  applyTheme();
});
applyTheme();

addEventListener('unhandledrejection', (e) => toast(e.reason?.message ?? String(e.reason), true));

refresh().catch(() => {}).finally(() => {
  show();
  follow();
});
// Counts and handler states change without an entry, too.
setInterval(() => { if (state.online && !document.hidden) refresh().catch(() => {}); }, 3000);
