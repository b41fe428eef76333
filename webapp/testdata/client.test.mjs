// Tests of client.js over a WebSocket that the test plays: node --test.

import { test, beforeEach, afterEach, mock } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const source = readFileSync(new URL('../client.js', import.meta.url), 'utf8');
const { Client, RefusedError, negotiate } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

let sockets;

class FakeSocket {
  static OPEN = 1;
  readyState = 0;
  sent = [];
  constructor(url, protocol) {
    this.url = new URL(url);
    this.protocol = protocol;
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close(code) {
    this.closedWith ??= code;
    this.readyState = 3;
  }
  // What the service does:
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  frame(f) {
    this.onmessage?.({ data: JSON.stringify(f) });
  }
  welcome(id = 'c1') {
    this.open();
    this.frame({ type: 'system', event: 'connected', connectionId: id, userId: 'alice', reconnectionToken: `token of ${id}` });
  }
  end(code) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

// settle lets promises run; timers stand still.
const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};
const pass = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};

// connected starts a client and plays a first connection.
async function connected(getURL = async () => 'ws://service/client/hubs/chat?access_token=t') {
  const client = new Client(getURL);
  const log = [];
  for (const type of ['state', 'connected', 'message', 'disconnected', 'refused']) {
    client.addEventListener(type, ({ detail }) => log.push(type === 'state' ? detail.state : `${type} ${detail.connectionId ?? detail.data ?? detail.message}`));
  }
  client.start();
  await settle();
  sockets[0]?.welcome();
  await settle();
  return { client, log };
}

beforeEach(() => {
  sockets = [];
  globalThis.WebSocket = FakeSocket;
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
});
afterEach(() => mock.timers.reset());

test('connects with the reliable subprotocol and tells of it once', async () => {
  const { client, log } = await connected();
  assert.equal(sockets[0].protocol, 'json.reliable.webpubsub.azure.v1');
  assert.deepEqual(log, ['connecting', 'connected', 'connected c1']);
  assert.deepEqual(client.info, { connectionId: 'c1', sequenceId: 0 });
});

test('an event resolves with its ack', async () => {
  const { client } = await connected();
  const done = client.sendEvent('message', { text: 'hi' });
  const [frame] = sockets[0].sent;
  assert.deepEqual(frame, { type: 'event', event: 'message', dataType: 'json', data: { text: 'hi' }, ackId: 1 });
  sockets[0].frame({ type: 'ack', ackId: 1, success: true });
  await done;
});

// The service closes the connection of a client that sends a frame without data.
test('an event without data has an empty object', async () => {
  const { client } = await connected();
  client.sendEvent('stop').catch(() => {});
  assert.deepEqual(sockets[0].sent, [{ type: 'event', event: 'stop', dataType: 'json', data: {}, ackId: 1 }]);
  client.stop();
});

test('a refused ack rejects with the name of the service; Duplicate is a success', async () => {
  const { client } = await connected();
  const refused = client.joinGroup('a');
  const repeated = client.joinGroup('b');
  sockets[0].frame({ type: 'ack', ackId: 1, success: false, error: { name: 'Forbidden', message: 'no' } });
  sockets[0].frame({ type: 'ack', ackId: 2, success: false, error: { name: 'Duplicate', message: 'again' } });
  await assert.rejects(refused, { name: 'Forbidden', message: 'no' });
  await repeated;
});

test('a request without an answer ends in time, one without a connection at once', async () => {
  const { client } = await connected();
  const slow = client.sendEvent('message', {});
  const timed = assert.rejects(slow, { name: 'Timeout' });
  await pass(20_000);
  await timed;
  client.stop();
  await assert.rejects(client.sendEvent('message', {}), { name: 'ConnectionLost' });
});

test('publishing asks for no ack and skips the sender', async () => {
  const { client } = await connected();
  client.publish('room.a', { type: 'typing' });
  assert.deepEqual(sockets[0].sent, [{ type: 'sendToGroup', group: 'room.a', noEcho: true, dataType: 'json', data: { type: 'typing' } }]);
});

test('a dropped socket is recovered: same connection, nothing twice', async () => {
  const { client, log } = await connected();
  sockets[0].frame({ type: 'message', from: 'server', sequenceId: 1, data: 'one' });
  const pending = client.sendEvent('message', {});
  sockets[0].end(1006);
  await assert.rejects(pending, { name: 'ConnectionLost' });
  await settle();

  const { searchParams } = sockets[1].url;
  assert.equal(searchParams.get('awps_connection_id'), 'c1');
  assert.equal(searchParams.get('awps_reconnection_token'), 'token of c1');
  sockets[1].open();
  assert.equal(log.at(-1), 'recovering', 'an open socket may still be refused');
  sockets[1].frame({ type: 'message', from: 'server', sequenceId: 1, data: 'one' });
  sockets[1].frame({ type: 'message', from: 'server', sequenceId: 2, data: 'two' });
  assert.deepEqual(log, ['connecting', 'connected', 'connected c1', 'message one', 'recovering', 'connected', 'message two']);
  await pass(1_000);
  assert.deepEqual(sockets[1].sent.at(-1), { type: 'sequenceAck', sequenceId: 2 });
});

test('a recovery without anything to replay is asked for an answer', async () => {
  const { log } = await connected();
  sockets[0].end(1006);
  await settle();
  sockets[1].open();
  await pass(200);
  assert.deepEqual(sockets[1].sent, [{ type: 'ping' }]);
  sockets[1].frame({ type: 'pong' });
  assert.equal(log.at(-1), 'connected');
});

test('a connected frame after a recovery is no new connection', async () => {
  const { log } = await connected();
  sockets[0].end(1006);
  await settle();
  sockets[1].welcome();
  assert.equal(log.filter((l) => l === 'connected c1').length, 1);
});

test('1008 ends the recovery: a new connection with a fresh URL', async () => {
  let n = 0;
  const { log } = await connected(async () => `ws://service/?access_token=t${++n}`);
  sockets[0].end(1006);
  await settle();
  sockets[1].open();
  sockets[1].end(1008);
  await settle();
  assert.equal(log.at(-1), 'waiting');
  await pass(1_000);
  assert.equal(sockets[2].url.searchParams.get('access_token'), 't2');
  assert.equal(sockets[2].url.searchParams.get('awps_connection_id'), null);
  sockets[2].welcome('c2');
  assert.equal(log.at(-1), 'connected c2');
});

// The attempts of a recovery, each of which is handled by f, and how long they go on.
async function recoveries(f) {
  const { client, log } = await connected();
  sockets[0].end(1006);
  await settle();
  const began = Date.now();
  let handled = 1;
  while (log.at(-1) !== 'waiting' && Date.now() - began < 120_000) {
    for (; handled < sockets.length; handled++) {
      f(sockets[handled]);
      await settle();
    }
    await pass(50);
  }
  client.stop();
  return { attempts: sockets.length - 1, took: Date.now() - began };
}

test('recovery is tried about every second, for half a minute', async () => {
  const { attempts, took } = await recoveries((s) => s.end(1006));
  assert.ok(attempts >= 30 && attempts <= 62, `${attempts} attempts`);
  assert.ok(took >= 30_000 && took < 32_000, `${took} ms`);
});

// Each of these used to start the half minute again, so that it never ended.
for (const [name, f] of Object.entries({
  'closes each socket again': (s) => {
    s.open();
    s.end(1006);
  },
  'cuts on a message that it repeats': (s) => {
    s.open();
    s.frame({ type: 'message', from: 'server', sequenceId: 1, data: 'one' });
    s.end(1006);
  },
  'greets and closes': (s) => {
    s.welcome();
    s.end(1001);
  },
  'opens each socket and sends nothing': (s) => s.open(),
  'never opens a socket': () => {},
})) {
  test(`a service that ${name} is given up`, async () => {
    const { attempts, took } = await recoveries(f);
    assert.ok(attempts <= 62, `${attempts} attempts`);
    assert.ok(took >= 30_000 && took < 50_000, `${took} ms`);
  });
}

test('any number of interruptions is survived if the socket works in between', async () => {
  const { log } = await connected();
  for (let i = 0; i < 60; i++) {
    sockets.at(-1).end(1006);
    await settle();
    sockets.at(-1).open();
    sockets.at(-1).frame({ type: 'message', from: 'server', sequenceId: i + 1, data: i });
    await pass(1_000);
  }
  assert.equal(sockets.length, 61);
  assert.ok(!log.includes('waiting'));
});

test('new connections that are closed again are made ever later', async () => {
  const { client } = await connected();
  sockets[0].end(1008);
  await settle();
  const began = Date.now();
  for (let handled = 1; Date.now() - began < 600_000; await pass(250)) {
    for (; handled < sockets.length; handled++) {
      sockets[handled].welcome(`c${handled}`);
      sockets[handled].end(1008);
      await settle();
    }
  }
  assert.ok(sockets.length > 20 && sockets.length < 60, `${sockets.length} connections in ten minutes`);

  // One that lasts starts the delays from the beginning.
  while (sockets.at(-1).readyState === 3) await pass(250);
  sockets.at(-1).welcome('lasts');
  await pass(10_000);
  const before = sockets.length;
  sockets.at(-1).end(1008);
  await settle();
  await pass(1_000);
  assert.equal(sockets.length, before + 1);
  client.stop();
});

test('what the service refused is not sent again, nor is the connection recovered', async () => {
  for (const code of [1003, 1007, 1009]) {
    sockets = [];
    const { client, log } = await connected();
    const refused = assert.rejects(client.sendEvent('message', {}), { name: 'ConnectionLost' });
    sockets[0].end(code);
    await refused;
    await settle();
    assert.equal(log.at(-1), 'waiting');
    await pass(1_000);
    assert.equal(sockets[1].url.searchParams.get('awps_connection_id'), null);
    sockets[1].welcome('c2');
    assert.deepEqual(sockets[1].sent, []);
    client.stop();
  }
});

test('a message that is too large is refused before it is sent', async () => {
  const { client } = await connected();
  const text = 'ü'.repeat(1 << 19);
  await assert.rejects(client.sendEvent('message', { text }), { name: 'TooLarge' });
  client.publish('room', { text });
  assert.deepEqual(sockets[0].sent, []);
});

test('attempts that fail come ever later, and at once on request', async () => {
  const waits = [];
  const client = new Client(async () => { throw new Error('no network'); });
  client.addEventListener('state', ({ detail }) => detail.state === 'waiting' && waits.push(detail.retryAt - Date.now()));
  client.start();
  await settle();
  for (let i = 0; i < 7; i++) {
    client.retry();
    await settle();
  }
  assert.equal(waits.length, 8);
  for (const [i, wait] of waits.entries()) {
    const most = Math.min(30_000, 1000 * 2 ** i);
    assert.ok(wait >= most / 2 && wait <= most, `wait ${i}: ${wait}`);
  }
  client.stop();
});

test('a refusal ends the attempts', async () => {
  const { log } = await connected(async () => { throw new RefusedError('who are you?'); });
  assert.deepEqual(log, ['connecting', 'stopped', 'refused who are you?']);
  assert.equal(sockets.length, 0);
});

test('a connection that the service closes on purpose is not recovered', async () => {
  const { log } = await connected();
  sockets[0].frame({ type: 'system', event: 'disconnected', message: 'bye' });
  sockets[0].end(1000);
  await settle();
  assert.deepEqual(log.slice(-2), ['disconnected bye', 'waiting']);
});

test('silence is a lost connection', async () => {
  const { log } = await connected();
  await pass(20_000);
  assert.deepEqual(sockets[0].sent, [{ type: 'ping' }]);
  sockets[0].frame({ type: 'pong' });
  await pass(20_000);
  await pass(20_000);
  assert.equal(log.at(-1), 'recovering');
  assert.equal(sockets[0].closedWith, 4000, 'any code but 1000 keeps it recoverable');
});

test('a flood is acknowledged on the way', async () => {
  await connected();
  for (let i = 1; i <= 301; i++) sockets[0].frame({ type: 'message', from: 'server', sequenceId: i, data: i });
  assert.deepEqual(sockets[0].sent, [{ type: 'sequenceAck', sequenceId: 301 }]);
});

test('stop closes with 1000 and stays stopped', async () => {
  const { client, log } = await connected();
  client.stop();
  await pass(60_000);
  assert.equal(sockets[0].closedWith, 1000);
  assert.equal(sockets.length, 1);
  assert.equal(log.at(-1), 'stopped');
});

test('stop and start again make one new connection', async () => {
  const { client } = await connected();
  client.stop();
  client.start();
  await settle();
  assert.equal(sockets.length, 2);
  sockets[1].welcome('c2');
  await pass(60_000);
  assert.equal(client.info.connectionId, 'c2');
});

test('stop while negotiating opens nothing', async () => {
  let answer;
  const { client } = await connected(() => new Promise((resolve) => (answer = resolve)));
  client.stop();
  answer('ws://service/');
  await settle();
  assert.equal(sockets.length, 0);
});

test('a held cut stays away as long as it was told', async () => {
  const { client } = await connected();
  client.drop(4_000);
  await settle();
  await pass(3_999);
  assert.equal(sockets.length, 1);
  await pass(1);
  assert.equal(sockets.length, 2);
});

test('negotiate returns the URL, and tells a refusal from a failure', async () => {
  const answers = {
    negotiate: { status: 200, ok: true, json: async () => ({ url: 'wss://service/client/hubs/chat?access_token=t' }) },
    'negotiate?userId=a+b': { status: 401, json: async () => ({ error: 'not signed in' }) },
    'negotiate?userId=x': { status: 502, json: async () => { throw new SyntaxError(); } },
    'negotiate?userId=y': { type: 'opaqueredirect', status: 0 },
  };
  globalThis.fetch = async (url, { method }) => (assert.equal(method, 'POST'), answers[url]);
  assert.equal((await negotiate()).host, 'service');
  await assert.rejects(negotiate({ userId: 'a b' }), (e) => e instanceof RefusedError && e.message === 'not signed in');
  await assert.rejects(negotiate({ userId: 'x' }), (e) => !(e instanceof RefusedError) && /502/.test(e.message));
  await assert.rejects(negotiate({ userId: 'y' }), RefusedError);
});
