import { h, panel, empty, field, select, check, attempt, toast, pretty } from './dom.js';
import { post } from './api.js';
import { state } from './state.js';

const protocols = [
  { value: 'json.webpubsub.azure.v1', label: 'JSON' },
  { value: 'json.reliable.webpubsub.azure.v1', label: 'reliable JSON' },
  { value: '', label: 'simple WebSocket' },
];

// The clients stay connected while another section is open.
const open = [];
let made = 0;

class TestClient {
  constructor(options) {
    Object.assign(this, options);
    this.number = ++made;
    this.ack = 0;
    this.lines = [];
    this.log = h('ul', { className: 'log', tabIndex: 0, 'aria-label': 'Frames' });
    this.title = h('h2');
    this.state = h('span', { className: 'tag warn' }, 'connecting');
    this.show();
  }

  show() { this.title.textContent = `${this.userId || 'anonymous'} in ${this.hub}`; }

  note(kind, text) {
    const item = h('li', { className: kind }, text);
    this.log.prepend(item);
    while (this.log.children.length > 300) this.log.lastChild.remove();
  }

  async connect() {
    const { url } = await post('/tokens', { hub: this.hub, userId: this.userId || undefined, roles: this.roles, groups: this.groups });
    this.open(url);
  }

  /** recover comes back to the connection, as a reliable client does. */
  recover() {
    const url = new URL(this.base);
    url.searchParams.set('awps_connection_id', this.id);
    url.searchParams.set('awps_reconnection_token', this.reconnectionToken);
    this.open(String(url));
  }

  open(url) {
    const address = new URL(url);
    this.base = address.origin.replace('null', '') + address.pathname;
    if (!/^wss?:/.test(this.base)) this.base = url.split('?')[0];
    this.ws = new WebSocket(url, this.protocol ? [this.protocol] : []);
    this.ws.binaryType = 'arraybuffer';
    this.setState('connecting', 'warn');
    this.ws.onopen = () => { this.note('note', 'open'); this.setState('open', 'good'); };
    this.ws.onmessage = (e) => this.receive(e.data);
    this.ws.onclose = (e) => {
      this.note('note', `closed: ${e.code} ${e.reason}`);
      this.setState(`closed ${e.code}`, 'bad');
      this.back.hidden = !(this.reconnectionToken && e.code !== 1000);
    };
    if (this.back) this.back.hidden = true;
  }

  setState(text, tone) {
    this.state.textContent = text;
    this.state.className = 'tag ' + tone;
  }

  receive(data) {
    if (data instanceof ArrayBuffer) {
      this.note('in', `${data.byteLength} binary bytes: ${[...new Uint8Array(data.slice(0, 64))].map((b) => b.toString(16).padStart(2, '0')).join(' ')}`);
      return;
    }
    this.note('in', this.raw.checked ? data : pretty(data));
    if (!this.protocol) return;
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame.event === 'connected') {
      this.id = frame.connectionId;
      this.reconnectionToken = frame.reconnectionToken;
      this.link.hidden = false;
      this.link.href = '#/connections?id=' + encodeURIComponent(this.id);
    }
    if (frame.sequenceId) this.send({ type: 'sequenceAck', sequenceId: frame.sequenceId });
  }

  send(frame) {
    if (this.ws?.readyState !== WebSocket.OPEN) {
      toast('This client is not connected.', true);
      return;
    }
    const text = typeof frame === 'string' ? frame : JSON.stringify(frame);
    this.ws.send(text);
    this.note('out', text);
  }

  view() {
    const group = h('input', { value: 'news' });
    const event = h('input', { value: 'message' });
    const data = h('textarea', { rows: 2, value: 'hello' });
    const type = select(['text', 'json']);
    const noEcho = check('no echo');
    const raw = check('raw frames');
    this.raw = raw.input;
    const own = h('textarea', { rows: 2, placeholder: this.protocol ? '{"type":"ping"}' : 'text' });
    const payload = () => ({ dataType: type.value, data: type.value === 'json' ? JSON.parse(data.value) : data.value });
    const act = (label, frame) => h('button', { type: 'button', onclick: attempt(async () => this.send(frame())) }, label);
    this.link = h('a', { className: 'small', hidden: true, href: '#/connections' }, 'Show the connection');
    this.back = h('button', { type: 'button', hidden: true, onclick: () => this.recover() }, 'Recover');
    const controls = this.protocol ? [
      h('div', { className: 'row' }, field('Group', group, 'grow'),
        act('Join', () => ({ type: 'joinGroup', group: group.value, ackId: ++this.ack })),
        act('Leave', () => ({ type: 'leaveGroup', group: group.value, ackId: ++this.ack }))),
      h('div', { className: 'row' }, field('Payload', data, 'grow'), field('Type', type)),
      h('div', { className: 'row' },
        act('Send to the group', () => ({ type: 'sendToGroup', group: group.value, noEcho: noEcho.input.checked, ackId: ++this.ack, ...payload() })), noEcho.label,
        field('Event', event),
        act('Send event', () => ({ type: 'event', event: event.value, ackId: ++this.ack, ...payload() })),
        act('Invoke', () => ({ type: 'invoke', invocationId: String(++this.ack), target: 'event', event: event.value, ...payload() }))),
    ] : [];
    return h('section', { className: 'panel' },
      h('header', {}, this.title, this.state, this.link, this.back,
        h('button', { type: 'button', onclick: () => this.ws?.close(4000, 'interrupted in the dashboard') }, 'Interrupt'),
        h('button', { type: 'button', onclick: () => this.ws?.close(1000) }, 'Close'),
        h('button', { type: 'button', className: 'quiet', 'aria-label': 'Remove this client', onclick: () => { this.ws?.close(1000); open.splice(open.indexOf(this), 1); this.removed(); } }, '×')),
      h('div', { className: 'stack' }, controls,
        h('form', { className: 'row', onsubmit: (e) => { e.preventDefault(); this.send(own.value); } }, field('Frame as you write it', own, 'grow'), h('button', {}, 'Send the frame'), raw.label),
        this.log));
  }
}

export default function clients() {
  const user = h('input', { value: 'alice' });
  const groups = h('input', { placeholder: 'comma separated' });
  const protocol = select(protocols);
  const joins = check('may join and leave any group', true);
  const sends = check('may send to any group', true);
  const others = h('input', { placeholder: 'webpubsub.sendToGroup.news' });
  const list = h('div', { className: 'grid' });
  const split = (s) => s.split(',').map((x) => x.trim()).filter(Boolean);

  function draw() {
    list.replaceChildren(...(open.length ? open.map((c) => { c.removed = draw; return c.view(); }) : [h('div', { className: 'panel' }, empty('No test client is open. Each one is a real WebSocket connection of this page.'))]));
  }

  const form = h('form', { className: 'row', onsubmit: attempt(async () => {
    const roles = [joins.input.checked && 'webpubsub.joinLeaveGroup', sends.input.checked && 'webpubsub.sendToGroup', ...split(others.value)].filter(Boolean);
    const client = new TestClient({ hub: state.hub, userId: user.value, protocol: protocol.value, roles, groups: split(groups.value) });
    open.unshift(client);
    draw();
    await client.connect();
  }) },
  field('User', user), field('Protocol', protocol), field('Groups from the start', groups), field('Other roles', others, 'grow'), joins.label, sends.label,
  h('button', { className: 'primary' }, 'Connect'));
  draw();
  return [panel('New test client', null, form), list];
}
