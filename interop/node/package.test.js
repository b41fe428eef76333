// The helper package, with the official SDKs, as a user's test would use both.

import { after, before, beforeEach, test } from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { WebPubSubServiceClient } from '@azure/web-pubsub';
import { WebPubSubClient, WebPubSubJsonProtocol, WebPubSubJsonReliableProtocol } from '@azure/web-pubsub-client';
import { ControlError, findBinary, startEmulator } from '../../packages/js/index.js';

let emulator;
before(async () => { emulator = await startEmulator(); });
beforeEach(() => emulator.reset());
after(() => emulator.stop());

const everything = ['webpubsub.joinLeaveGroup', 'webpubsub.sendToGroup'];
const service = () => new WebPubSubServiceClient(emulator.connectionString, 'chat', { allowInsecureConnection: true });

async function connect(t, userId, protocol = WebPubSubJsonProtocol()) {
  const client = new WebPubSubClient({ getClientAccessUrl: () => emulator.clientUrl({ hub: 'chat', userId, roles: everything }) }, { protocol });
  await client.start();
  t.after(() => client.stop());
  return client;
}

test('a message reaches a group, and the journal has it', async (t) => {
  const alice = await connect(t, 'alice');
  await alice.joinGroup('news');
  const got = new Promise((resolve) => { alice.on('group-message', (e) => resolve(e.message.data)); });
  await service().group('news').sendToAll('hello', { contentType: 'text/plain' });
  assert.equal(await got, 'hello');
  await emulator.waitIdle();
  const sent = await emulator.waitFor((e) => e.kind === 'sent');
  assert.equal(sent.receivers, 1);
  assert.deepEqual((await emulator.groups()).map((g) => [g.name, g.connections]), [['news', 1]]);
  const [connection] = await emulator.connections({ userId: 'alice' });
  assert.deepEqual((await emulator.connection('chat', connection.id)).groups, ['news']);
});

test('reset leaves nothing of the test before', async (t) => {
  const alice = await connect(t, 'alice');
  const ended = new Promise((resolve) => { alice.on('disconnected', resolve); });
  await emulator.inject({ at: 'send', action: { type: 'delay', delayMs: 1 } });
  await emulator.reset();
  await ended;
  alice.stop();
  assert.deepEqual(await emulator.groups(), []);
  assert.deepEqual((await emulator.request('GET', '/faults')).value, []);
});

test('network conditions are replaced, and end with a reset', async () => {
  assert.deepEqual(await emulator.setNetwork({ latencyMs: 1, jitterMs: 2 }), { latencyMs: 1, jitterMs: 2, bandwidth: 0, handlerLatencyMs: 0 });
  assert.deepEqual(await emulator.setNetwork({ bandwidth: 1_000_000 }), { latencyMs: 0, jitterMs: 0, bandwidth: 1_000_000, handlerLatencyMs: 0 });
  await emulator.reset();
  assert.equal((await emulator.request('GET', '/network')).bandwidth, 0);
});

test('a reliable client recovers from a fault and loses nothing', async (t) => {
  const alice = await connect(t, 'alice', WebPubSubJsonReliableProtocol());
  await alice.joinGroup('news');
  const got = [];
  const all = new Promise((resolve) => { alice.on('group-message', (e) => { if (got.push(e.message.data) === 20) resolve(); }); });
  const fault = await emulator.inject({ at: 'send', action: { type: 'resetConnection' }, frame: 'message', userId: 'alice', skip: 5, times: 1 });
  for (let i = 0; i < 20; i++) await emulator.send('chat', { data: String(i), dataType: 'text' }, { group: 'news' });
  await all;
  assert.deepEqual(got, [...Array(20).keys()].map(String));
  assert.equal(await fault.hits(), 1);
  await fault.remove();
  await emulator.waitFor((e) => e.kind === 'recovered');
});

test('an entry has the request to the event handler', async (t) => {
  const server = createServer((req, res) => {
    if (req.method === 'OPTIONS') res.setHeader('WebHook-Allowed-Origin', '*');
    req.resume();
    req.on('end', () => { res.setHeader('content-type', 'text/plain'); res.end(req.method === 'POST' ? 'pong' : ''); });
  }).listen(0);
  await once(server, 'listening');
  t.after(() => server.close());
  await emulator.setHub('chat', { eventHandlers: [{ urlTemplate: `http://127.0.0.1:${server.address().port}/`, userEventPattern: '*' }] });
  const alice = await connect(t, 'alice');
  const got = new Promise((resolve) => { alice.on('server-message', (e) => resolve(e.message.data)); });
  await alice.sendEvent('ping', 'x', 'text');
  assert.equal(await got, 'pong');
  const event = await emulator.waitFor((e) => e.kind === 'event' && e.name === 'ping');
  const { content } = await emulator.entry(event.id);
  assert.equal(content.upstream.status, 200);
  assert.equal(content.upstream.requestBody.data, 'x');
  assert.ok(!JSON.stringify(content).includes('sha256='), 'the signature is not shown');
});

test('errors say what is wrong', async () => {
  await assert.rejects(emulator.inject({ at: 'nowhere', action: { type: 'delay' } }), (err) => err instanceof ControlError && err.status === 400 && err.message !== '');
  await assert.rejects(startEmulator({ args: ['-no-such-flag'] }), /did not start.*no-such-flag/s);
  assert.throws(() => findBinary('/no/such/program'), /not a program/);
});
