import { h, panel, empty, field, select, toast, attempt, copyButton } from './dom.js';
import { get, post, segment } from './api.js';
import { state, on } from './state.js';
import { entryList } from './entries.js';

const pageSize = 100;
const columns = [['userId', 'User'], ['id', 'Connection'], ['protocol', 'Protocol'], ['groups', 'Groups'], ['state', 'State'], ['queued', 'Queued'], ['unacked', 'Unacked']];
const sortable = new Set(['userId', 'id', 'protocol', 'state', 'queued', 'unacked', 'connectedAt']);

export default function connections(signal, query) {
  const search = h('input', { type: 'search', placeholder: 'user, connection or group', value: query.get('search') ?? '' });
  const protocol = select([{ value: '', label: 'any' }, 'simple', 'json', 'jsonReliable', 'protobuf', 'protobufReliable', 'mqtt']);
  const status = select([{ value: '', label: 'any' }, 'open', 'interrupted']);
  const body = h('tbody');
  const head = h('tr');
  const note = h('p', { className: 'small soft', role: 'status' });
  const detail = h('div', { className: 'panel' });
  const previous = h('button', { type: 'button' }, 'Previous');
  const next = h('button', { type: 'button' }, 'Next');
  let pages = ['']; // addresses of the pages up to this one
  let nextLink;
  let selected = query.get('id') ?? '';
  let sort = 'userId';
  let order = 'asc';
  let loading = false;

  function showHead() {
    head.replaceChildren(...columns.map(([name, title]) => h('th', { scope: 'col', 'aria-sort': sort === name ? (order === 'asc' ? 'ascending' : 'descending') : undefined },
      sortable.has(name) ? h('button', { type: 'button', onclick: () => {
        order = sort === name && order === 'asc' ? 'desc' : 'asc';
        sort = name;
        showHead();
        first();
      } }, title + (sort === name ? (order === 'asc' ? ' ▲' : ' ▼') : '')) : title)));
  }

  async function load() {
    if (loading) return;
    loading = true;
    try {
      const at = pages.at(-1);
      const page = at ? await get(at) : await get('/connections', { hub: state.hub, search: search.value, protocol: protocol.value, state: status.value, sort, order, limit: pageSize });
      nextLink = page.nextLink;
      show(page.value);
    } catch (err) {
      note.textContent = err.message;
    } finally {
      loading = false;
    }
  }
  const first = () => { pages = ['']; load(); };

  function show(list) {
    body.replaceChildren(...list.map((c) => h('tr', { className: c.id === selected ? 'selected' : '' },
      h('td', {}, h('button', { type: 'button', className: 'quiet', onclick: () => open(c.id) }, c.userId ?? '(anonymous)')),
      h('td', { className: 'mono' }, c.id),
      h('td', {}, h('span', { className: 'tag' }, c.protocol)),
      h('td', {}, (c.groups ?? []).slice(0, 4).map((g) => h('span', { className: 'tag' }, g)), c.groupCount > 4 ? h('span', { className: 'soft small' }, ` and ${c.groupCount - 4} more`) : null),
      h('td', {}, h('span', { className: 'tag ' + (c.state === 'open' ? 'good' : 'warn') }, c.state)),
      h('td', {}, String(c.queued)), h('td', {}, String(c.unacked)))));
    const hub = state.hubs.find((x) => x.name === state.hub);
    note.textContent = `${list.length} shown${hub ? ` of ${hub.connections} in ${hub.name}` : ''}${pages.length > 1 ? `, page ${pages.length}` : ''}`;
    previous.disabled = pages.length === 1;
    next.disabled = !nextLink;
    table.hidden = list.length === 0;
    noneFound.hidden = list.length > 0;
  }

  previous.addEventListener('click', () => { pages.pop(); load(); });
  next.addEventListener('click', () => { pages.push(nextLink); load(); });

  const action = (label, path, payload, className, done) => h('button', { type: 'button', className, onclick: attempt(async () => {
    await post(path, payload?.() ?? {});
    await open(selected);
    load();
  }, done) }, label);

  async function open(id) {
    selected = id;
    for (const row of body.rows) row.className = row.cells[1].textContent === id ? 'selected' : '';
    const base = `/hubs/${segment(state.hub)}/connections/${segment(id)}`;
    let c;
    try {
      c = await get(base);
    } catch (err) {
      detail.replaceChildren(empty(err.status === 404 ? 'This connection has ended.' : err.message));
      return;
    }
    const group = h('input', { placeholder: 'group' });
    const text = h('input', { placeholder: 'text or JSON' });
    const entries = await get('/journal', { hub: state.hub, connectionId: id, order: 'desc', limit: 30 });
    detail.replaceChildren(
      h('header', {}, h('h2', {}, c.userId ?? '(anonymous)'), copyButton(c.id, 'Copy the id')),
      h('div', { className: 'stack' },
        h('dl', { className: 'headers' },
          ...[['connection', c.id], ['protocol', c.subprotocol ?? c.protocol], ['state', c.state], ['connected at', c.connectedAt ? new Date(c.connectedAt).toLocaleTimeString() : ''],
            ['queued', `${c.queued} frames, ${c.queuedBytes ?? 0} bytes`], ['unacknowledged', String(c.unacked)]].flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)])),
        h('div', {}, h('h3', {}, 'Groups'), c.groups?.length ? c.groups.map((g) => h('span', { className: 'tag' }, g, ' ',
          h('button', { type: 'button', className: 'quiet', 'aria-label': `Remove from ${g}`, onclick: attempt(async () => { await post(base + '/leave', { group: g }); await open(id); }) }, '×'))) : h('p', { className: 'soft small' }, 'none')),
        h('div', {}, h('h3', {}, 'Permissions'), c.roles?.length ? c.roles.map((r) => h('span', { className: 'tag' }, r)) : h('p', { className: 'soft small' }, 'none'),
          (c.revoked ?? []).map((r) => h('span', { className: 'tag bad' }, `revoked: ${r.permission ?? r} ${r.group ?? ''}`))),
        h('div', { className: 'row' }, field('Group', group, 'grow'),
          action('Join', base + '/join', () => ({ group: group.value }), '', 'Joined.'),
          action('Grant send', base + '/grant', () => ({ permission: 'sendToGroup', ...(group.value && { group: group.value }) }), '', 'Granted.'),
          action('Revoke send', base + '/revoke', () => ({ permission: 'sendToGroup', ...(group.value && { group: group.value }) }), '', 'Revoked.')),
        h('form', { className: 'row', onsubmit: attempt(async () => { await post(base + '/send', message(text.value)); text.value = ''; }, 'Sent.') },
          field('Message from the service', text, 'grow'), h('button', {}, 'Send')),
        h('div', { className: 'row' },
          action('Close', base + '/close', () => ({ reason: 'closed in the dashboard' }), 'danger', 'Closed.'),
          action('Reset the network', base + '/reset', undefined, 'danger', 'The network connection was reset.')),
        h('h3', {}, 'Its traffic, newest first'),
        entries.value.length ? entryList(entries.value) : h('p', { className: 'soft small' }, 'none yet'),
        h('a', { href: '#/traffic?connectionId=' + segment(id) }, 'All of its traffic')));
  }

  const message = (s) => {
    try {
      return { dataType: 'json', data: JSON.parse(s) };
    } catch {
      return { dataType: 'text', data: s };
    }
  };

  const table = h('div', { className: 'scroll' }, h('table', {}, h('caption', { className: 'skip' }, 'Connections'), h('thead', {}, head), body));
  const noneFound = empty('No connection of this hub matches.',
    h('p', {}, h('a', { className: 'button', href: '#/clients' }, 'Open a test client')));
  for (const el of [protocol, status]) el.addEventListener('change', first);
  let typing;
  search.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(first, 200); });
  let due;
  const soon = () => { due ??= setTimeout(() => { due = undefined; load(); }, 700); };
  on('entries', (list) => { if (list.some((e) => e.hub === state.hub || e.kind === 'control')) soon(); }, signal);
  on('hub', () => { selected = ''; detail.replaceChildren(empty('Choose a connection.')); first(); }, signal);
  signal.addEventListener('abort', () => clearTimeout(due));
  showHead();
  load();
  if (selected) open(selected).catch((err) => toast(err.message, true));
  else detail.replaceChildren(empty('Choose a connection to see its groups, permissions and traffic.'));
  return h('div', { className: 'split' },
    panel('Connections', note,
      h('div', { className: 'stack' },
        h('div', { className: 'row' }, field('Search', search, 'grow'), field('Protocol', protocol), field('State', status)),
        table, noneFound, h('div', { className: 'row' }, previous, next))),
    detail);
}
