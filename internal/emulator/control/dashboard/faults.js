import { h, panel, empty, field, select, attempt } from './dom.js';
import { get, post, call } from './api.js';
import { state, on } from './state.js';

const actions = { resetConnection: 'reset the network connection', delay: 'delay', stall: 'stall until removed', rejectHandshake: 'reject the handshake', close: 'close the WebSocket', failRecovery: 'fail the recovery' };
const points = { handshake: 'handshake of a new client', recovery: 'recovery of a client', receive: 'a frame of a client, before it is processed', send: 'a frame to a client, before it is written' };
const fits = { handshake: ['resetConnection', 'delay', 'stall', 'rejectHandshake', 'close'], recovery: ['resetConnection', 'delay', 'stall', 'rejectHandshake', 'close', 'failRecovery'], receive: ['resetConnection', 'delay', 'stall', 'close'], send: ['resetConnection', 'delay', 'stall', 'close'] };

export default function faults(signal) {
  const at = select(Object.entries(points).map(([value, label]) => ({ value, label })), 'send');
  const action = select([]);
  const delay = h('input', { type: 'number', min: '0', value: '1000' });
  const status = h('input', { type: 'number', min: '400', max: '599', value: '503' });
  const code = h('input', { type: 'number', min: '1000', max: '4999', value: '1011' });
  const reason = h('input', { placeholder: 'optional' });
  const frame = h('input', { placeholder: 'every frame', list: 'frames' });
  frame.setAttribute('list', 'frames');
  const user = h('input', { placeholder: 'every user' });
  const connection = h('input', { placeholder: 'every connection' });
  const skip = h('input', { type: 'number', min: '0', value: '0' });
  const times = h('input', { type: 'number', min: '0', placeholder: 'always' });
  const body = h('tbody');
  const fields = {
    delay: field('Milliseconds', delay), status: field('HTTP status', status), code: field('Close code', code), reason: field('Reason', reason),
    frame: field('Frame', frame), connection: field('Connection id', connection),
  };

  function fit() {
    const before = action.value;
    action.replaceChildren(...fits[at.value].map((a) => h('option', { value: a }, actions[a])));
    if (fits[at.value].includes(before)) action.value = before;
    fields.delay.hidden = action.value !== 'delay';
    fields.status.hidden = action.value !== 'rejectHandshake';
    fields.code.hidden = fields.reason.hidden = action.value !== 'close';
    fields.frame.hidden = at.value === 'handshake' || at.value === 'recovery';
    fields.connection.hidden = at.value === 'handshake';
  }
  at.addEventListener('change', fit);
  action.addEventListener('change', fit);

  async function load() {
    const { value } = await get('/faults', { limit: 200 });
    body.replaceChildren(...value.map((f) => h('tr', {},
      h('td', {}, `${actions[f.action.type] ?? f.action.type}${f.action.delayMs ? ` ${f.action.delayMs} ms` : ''}${f.action.status ? ` with ${f.action.status}` : ''}${f.action.code ? ` with ${f.action.code}` : ''}`),
      h('td', {}, f.at, f.frame ? h('span', { className: 'tag' }, f.frame) : null),
      h('td', {}, [f.hub && `hub ${f.hub}`, f.userId && `user ${f.userId}`, f.connectionId].filter(Boolean).join(', ') || 'all clients'),
      h('td', {}, `${f.hits ?? 0}${f.times ? ` of ${f.times}` : ''}`),
      h('td', { className: 'actions' }, h('button', { type: 'button', onclick: attempt(async () => { await call('DELETE', '/faults/' + f.id); await load(); }, 'Removed.') }, 'Remove')))));
    table.hidden = value.length === 0;
    none.hidden = value.length > 0;
    removeAll.hidden = value.length === 0;
  }

  const form = h('form', { className: 'stack', onsubmit: attempt(async () => {
    const type = action.value;
    await post('/faults', {
      at: at.value,
      action: { type, ...(type === 'delay' && { delayMs: Number(delay.value) }), ...(type === 'rejectHandshake' && { status: Number(status.value) }), ...(type === 'close' && { code: Number(code.value), ...(reason.value && { reason: reason.value }) }) },
      hub: state.hub,
      ...(user.value && { userId: user.value }),
      ...(!fields.connection.hidden && connection.value && { connectionId: connection.value }),
      ...(!fields.frame.hidden && frame.value && { frame: frame.value }),
      ...(Number(skip.value) && { skip: Number(skip.value) }),
      ...(Number(times.value) && { times: Number(times.value) }),
    });
    await load();
  }, 'Injected.') },
  h('div', { className: 'row' }, field('At', at, 'grow'), field('What happens', action, 'grow'), fields.delay, fields.status, fields.code, fields.reason),
  h('div', { className: 'row' }, field('User', user, 'grow'), fields.connection, fields.frame, field('Skip first', skip), field('Times', times)),
  h('datalist', { id: 'frames' }, ['sendToGroup', 'event', 'invoke', 'joinGroup', 'message', 'ack', 'connected', 'PUBLISH', 'PUBACK'].map((f) => h('option', { value: f }))),
  h('div', {}, h('button', { className: 'primary' }, 'Inject')));

  const table = h('div', { className: 'scroll' }, h('table', {}, h('caption', { className: 'skip' }, 'Faults in force'), h('thead', {}, h('tr', {}, ['What happens', 'At', 'To', 'Applied', ''].map((t) => h('th', { scope: 'col' }, t || h('span', { className: 'skip' }, 'Actions'))))), body));
  const none = empty('No fault is in force. Inject one to see whether a client gets over it.');
  const removeAll = h('button', { type: 'button', onclick: attempt(async () => { await call('DELETE', '/faults'); await load(); }, 'Removed.') }, 'Remove all');
  const now = (label, path, payload) => h('button', { type: 'button', className: 'danger', onclick: attempt(() => post(`/hubs/${encodeURIComponent(state.hub)}/${path}`, payload), (r) => `Connections: ${r.count}.`) }, label);

  const target = h('input', { placeholder: 'optional' });
  const tunnel = h('select');
  const ofTunnel = (payload = {}) => ({ ...payload, ...(tunnel.value && { connectionId: tunnel.value }) });
  const nowTunnels = (label, path, payload, danger) => h('button', { type: 'button', className: danger ? 'danger' : '', onclick: attempt(() => post(`/hubs/${encodeURIComponent(state.hub)}/tunnels/${path}`, ofTunnel(payload())), (r) => `Tunnels: ${r.count}.`) }, label);
  const redirect = () => (target.value ? { target: target.value } : {});
  const tunnelForm = h('div', { className: 'stack', hidden: true },
    h('div', { className: 'row' }, field('Tunnel', tunnel, 'grow'), field('Target of the new connection', target, 'grow')),
    h('div', { className: 'row' },
      nowTunnels('Reconnect', 'reconnect', redirect), nowTunnels('Rebalance', 'rebalance', redirect),
      nowTunnels('Close', 'close', () => ({ message: 'closed in the dashboard' }), true), nowTunnels('Reset the network', 'reset', () => ({}), true)));
  const noTunnels = empty('No tunnel of the hub is open.', h('p', {}, 'An event handler with a URL such as tunnel:///api/events connects to the emulator by ', h('code', {}, 'webpubsub tunnel'), '.'));

  async function loadTunnels() {
    const { value } = await get('/tunnels', { hub: state.hub, limit: 200 });
    const before = tunnel.value;
    tunnel.replaceChildren(h('option', { value: '' }, 'all of the hub'), ...value.map((t) => h('option', { value: t.connectionId }, t.connectionId + (t.target ? ` (target ${t.target})` : ''))));
    if (value.some((t) => t.connectionId === before)) tunnel.value = before;
    tunnelForm.hidden = value.length === 0;
    noTunnels.hidden = value.length > 0;
  }

  const latency = h('input', { type: 'number', min: '0', max: '60000' });
  const jitter = h('input', { type: 'number', min: '0', max: '60000' });
  const bandwidth = h('input', { type: 'number', min: '0' });
  const handlerLatency = h('input', { type: 'number', min: '0', max: '60000' });
  const showNetwork = (n) => { latency.value = n.latencyMs; jitter.value = n.jitterMs; bandwidth.value = n.bandwidth; handlerLatency.value = n.handlerLatencyMs; };
  const network = h('form', { className: 'row', onsubmit: attempt(async () => {
    showNetwork(await call('PUT', '/network', { latencyMs: Number(latency.value), jitterMs: Number(jitter.value), bandwidth: Number(bandwidth.value), handlerLatencyMs: Number(handlerLatency.value) }));
  }, 'Changed.') },
  field('Latency in each direction, ms', latency, 'grow'), field('Jitter, ms', jitter, 'grow'), field('Bytes per second, 0 for no limit', bandwidth, 'grow'), field('Latency to event handlers, ms', handlerLatency, 'grow'), h('button', {}, 'Change'));


  let due;
  on('entries', (list) => {
    if (list.some((e) => e.kind === 'fault')) due ??= setTimeout(() => { due = undefined; load().catch(() => {}); }, 300);
    if (list.some((e) => e.kind === 'tunnelOpened' || e.kind === 'tunnelClosed')) loadTunnels().catch(() => {});
  }, signal);
  on('hub', () => loadTunnels().catch(() => {}), signal);
  signal.addEventListener('abort', () => clearTimeout(due));
  fit();
  load().catch(() => {});
  loadTunnels().catch(() => {});
  get('/network').then(showNetwork).catch(() => {});
  return [
    panel('Inject a fault', null, form),
    panel('Faults in force', removeAll, table, none),
    panel('Network conditions', null, network),
    panel('Once, to all connections of the hub', null, h('div', { className: 'row' }, now('Reset the network', 'reset', {}), now('Close with 1001', 'close', { code: 1001, reason: 'going away' }))),
    panel('Once, to tunnels of the hub', null, tunnelForm, noTunnels),
  ];
}
