// MQTT.js, of both protocol versions, beside the official packages. The
// environment and the Go event handler are those of ../doc.go.
import assert from "node:assert/strict";
import { test } from "node:test";

import mqtt from "mqtt";

import { Inbox, allRoles, cut, handlerHub, limit, newHub, proxied, seen, service, startClient, until } from "../node/helpers.js";

/** A client that has connected, with what it got in Inboxes. */
async function connect(t, hub, { token = { roles: allRoles }, cs, ...options } = {}) {
  const { url } = token
    ? await service(hub, cs).getClientAccessToken({ clientProtocol: "mqtt", ...token })
    : { url: process.env.WEBPUBSUB_MQTT_URL + hub };
  const client = mqtt.connect(url, { reconnectPeriod: 50, ...options });
  t.after(() => client.end(true));
  const messages = new Inbox();
  const disconnects = new Inbox();
  client.on("message", (topic, payload, packet) => messages.push({ topic, text: payload.toString(), packet }));
  client.on("disconnect", (packet) => disconnects.push(packet));
  const connack = await new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
    // MQTT.js keeps the HTTP status of a refused handshake to itself.
    client.once("close", () => reject(new Error("closed")));
  });
  return { client, messages, disconnects, connack, id: client.options.clientId };
}

let clients = 0;
const clientId = () => `client${process.pid}x${clients++}`;

for (const protocolVersion of [4, 5]) {
  const version = { protocolVersion };
  const about = (features, text) => `${features}: MQTT ${protocolVersion === 4 ? "3.1.1" : "5.0"}, ${text}`;

  test(about("mqtt-publish", "every QoS, both ways"), limit, async (t) => {
    const { client, messages, connack } = await connect(t, newHub(), version);
    assert.equal(connack.sessionPresent, false);
    for (const qos of [0, 1, 2]) {
      const [granted] = await client.subscribeAsync(`topic${qos}`, { qos });
      assert.equal(granted.qos, qos);
      await client.publishAsync(`topic${qos}`, `with ${qos}`, { qos });
      const { topic, text, packet } = await messages.next();
      assert.deepEqual([topic, text, packet.qos], [`topic${qos}`, `with ${qos}`, qos]);
    }
    await client.unsubscribeAsync("topic1");
    await client.publishAsync("topic1", "nobody hears this", { qos: 1 });
    await client.publishAsync("topic2", "this is heard", { qos: 1 });
    assert.equal((await messages.next()).text, "this is heard");
  });

  test(about("mqtt-service", "one group for clients of all protocols and the service client"), limit, async (t) => {
    const hub = newHub();
    const { client, messages, id } = await connect(t, hub, { ...version, token: { roles: allRoles, userId: "ann" } });
    const web = await startClient(t, hub, { token: { roles: allRoles } });
    await web.client.joinGroup("room");
    await client.subscribeAsync("room", { qos: 1 });

    await client.publishAsync("room", "from MQTT", { qos: 1 });
    const { message } = await web.inbox["group-message"].next();
    assert.equal(message.fromUserId, "ann");
    assert.equal(Buffer.from(message.data).toString(), "from MQTT");
    assert.equal((await messages.next()).text, "from MQTT");

    await web.client.sendToGroup("room", { n: 1 }, "json");
    const fromWeb = await messages.next();
    assert.deepEqual(JSON.parse(fromWeb.text), { n: 1 });
    if (protocolVersion === 5) assert.equal(fromWeb.packet.properties.contentType, "application/json");

    const server = service(hub);
    await server.group("room").sendToAll("from REST", { contentType: "text/plain" });
    assert.equal((await messages.next()).text, "from REST");
    await server.sendToConnection(id, "for you", { contentType: "text/plain" });
    const direct = await messages.next();
    assert.deepEqual([direct.topic, direct.text], ["$webpubsub/server/messages", "for you"]);
    assert.equal(await server.connectionExists(id), true);
    assert.equal(await server.hasPermission(id, "joinLeaveGroup", { targetName: "room" }), true);
  });

  test(about("mqtt-session", "the session survives a lost connection"), limit, async (t) => {
    const hub = newHub();
    const options = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 30 } } : {};
    const { client, messages } = await connect(t, hub, { ...version, ...options, clean: false, clientId: clientId(), cs: proxied });
    await client.subscribeAsync("room", { qos: 1 });
    const gone = new Promise((resolve) => client.once("close", resolve));
    const back = new Promise((resolve) => client.once("connect", resolve));
    assert.ok((await cut()) > 0);
    await gone;
    await service(hub).group("room").sendToAll("while away", { contentType: "text/plain" });
    assert.equal((await back).sessionPresent, true);
    assert.equal((await messages.next()).text, "while away");
    await client.publishAsync("room", "and back", { qos: 2 });
    assert.equal((await messages.next()).text, "and back");
  });

  test(about("mqtt-publish", "a burst that is larger than what may be in flight"), limit, async (t) => {
    const hub = newHub();
    const { messages } = await connect(t, hub, version).then(async (c) => (await c.client.subscribeAsync("room", { qos: 1 }), c));
    const { client } = await connect(t, hub, version);
    for (let i = 0; i < 3000; i += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, j) => client.publishAsync("room", String(i + j), { qos: 1 })));
    }
    for (let i = 0; i < 3000; i++) assert.equal((await messages.next()).text, String(i));
  });

  test(about("mqtt-refuse", "the session of another user, and groups that are no topics"), limit, async (t) => {
    const hub = newHub();
    const session = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 30 } } : { clean: false };
    const { client, messages, id } = await connect(t, hub, { ...version, ...session, clientId: clientId(), token: { roles: allRoles, userId: "alice" } });
    for (const clean of [true, false]) {
      const mallory = connect(t, hub, { ...version, clean, clientId: id, token: { roles: allRoles, userId: "mallory" } });
      await assert.rejects(mallory, /Not authorized/);
    }
    const server = service(hub);
    for (const group of ["c++", "a#b"]) {
      await server.group(group).addConnection(id);
      await server.group(group).sendToAll("no topic", { contentType: "text/plain" });
    }
    await client.subscribeAsync("room");
    await server.group("room").sendToAll("a topic", { contentType: "text/plain" });
    assert.equal((await messages.next()).text, "a topic");
  });

  test(about("mqtt-will", "the will of a client that vanishes"), limit, async (t) => {
    const hub = newHub();
    const watcher = await connect(t, hub, version);
    await watcher.client.subscribeAsync("wills", { qos: 1 });
    const { client } = await connect(t, hub, { ...version, will: { topic: "wills", payload: "gone", qos: 1 } });
    client.stream.destroy();
    assert.equal((await watcher.messages.next()).text, "gone");
  });

  test(about("mqtt-events", "events reach the Go handler, and the answer the client"), limit, async (t) => {
    const { client, messages, id } = await connect(t, handlerHub, { ...version, clientId: clientId(), token: { userId: "ann" } });
    await seen(id, "connected ann");
    await client.publishAsync("$webpubsub/server/events/echo", "hello", { qos: 1 });
    const echoed = await messages.next();
    assert.deepEqual([echoed.topic, echoed.text, echoed.packet.qos], ["$webpubsub/server/events/echo/succeeded", "hello", 1]);
    for (const n of [1, 2]) {
      await client.publishAsync("$webpubsub/server/events/count", "");
      assert.equal((await messages.next()).text, `{"count":${n}}`);
    }
    await client.publishAsync("$webpubsub/server/events/deny", "");
    const denied = await messages.next();
    assert.deepEqual([denied.topic, denied.text], ["$webpubsub/server/events/deny/failed", "denied by the test"]);
    await client.endAsync();
    assert.deepEqual(await seen(id, "disconnected"), ["connect", "connected ann", "disconnected"]);
  });

  test(about("mqtt-refuse", "what the service refuses"), limit, async (t) => {
    const hub = newHub();
    const { client } = await connect(t, hub, { ...version, token: { roles: ["webpubsub.joinLeaveGroup.mine"] } });
    for (const topic of ["a/#", "+", "other"]) {
      const [granted] = await client.subscribeAsync(topic).catch((e) => [e]);
      if (protocolVersion === 4) assert.equal(granted.qos ?? 128, 128);
      else assert.match(String(granted), topic === "other" ? /Not authorized/ : /Wildcard Subscriptions not supported/);
    }
    await client.subscribeAsync("mine");
    await assert.rejects(connect(t, hub, { ...version, clientId: "not-allowed" }), protocolVersion === 4 ? /Identifier rejected/ : /Client Identifier not valid/);
    await assert.rejects(connect(t, hub, { ...version, token: null, reconnectPeriod: 0 }), /closed/);
    await connect(t, "anonymous", { ...version, token: null });
  });
}

test("mqtt-properties: MQTT 5.0, properties travel with events and messages", limit, async (t) => {
  const { client, messages } = await connect(t, handlerHub, { protocolVersion: 5, token: { roles: allRoles } });
  const properties = { contentType: "application/json", correlationData: Buffer.from("id 1"), userProperties: { a: "b" } };
  await client.publishAsync("$webpubsub/server/events/echo", `{"x":1}`, { qos: 1, properties });
  const { packet } = await messages.next();
  assert.equal(packet.properties.contentType, "application/json; charset=utf-8");
  assert.equal(packet.properties.correlationData.toString(), "id 1");
  assert.deepEqual({ ...packet.properties.userProperties }, { "azure-status-code": "200" });

  await client.subscribeAsync("room", { qos: 1, properties: { subscriptionIdentifier: 5 } });
  await client.publishAsync("room", "[1]", { properties: { ...properties, messageExpiryInterval: 60, responseTopic: "r" } });
  const got = (await messages.next()).packet.properties;
  assert.deepEqual(
    [got.contentType, got.responseTopic, got.messageExpiryInterval, got.subscriptionIdentifier, { ...got.userProperties }],
    ["application/json", "r", 60, 5, { a: "b" }],
  );
});

test("mqtt-session, mqtt-service: MQTT 5.0, assigned client id, take-over, and the end by REST", limit, async (t) => {
  const hub = newHub();
  const assigned = await connect(t, hub, { protocolVersion: 5, clientId: "" });
  const id = assigned.connack.properties.assignedClientIdentifier;
  assert.equal(await service(hub).connectionExists(id), true);
  assert.equal(assigned.connack.properties.retainAvailable, false);
  assert.equal(assigned.connack.properties.wildcardSubscriptionAvailable, false);
  assert.equal(assigned.connack.properties.sharedSubscriptionAvailable, false);

  const first = await connect(t, hub, { protocolVersion: 5, clientId: "same", reconnectPeriod: 0 });
  const second = await connect(t, hub, { protocolVersion: 5, clientId: "same", reconnectPeriod: 0 });
  assert.equal((await first.disconnects.next()).reasonCode, 0x8e);
  await service(hub).closeConnection("same", { reason: "enough" });
  const end = await second.disconnects.next();
  assert.deepEqual([end.reasonCode, end.properties.reasonString], [0x98, "enough"]);
  await until(async () => !(await service(hub).connectionExists("same")));
});
