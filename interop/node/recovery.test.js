// What is left of a connection when the network drops it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebPubSubJsonProtocol, WebPubSubJsonReliableProtocol } from "@azure/web-pubsub-client";
import { allRoles, cut, limit, newHub, proxied, service, startClient } from "./helpers.js";

const options = (protocol) => ({ protocol, cs: proxied, token: { userId: "alice", roles: allRoles } });

test("recovery: a reliable client gets its connection back, and what it missed", limit, async (t) => {
  const hub = newHub();
  const rest = service(hub);
  const { client, inbox, connectionId } = await startClient(t, hub, options(WebPubSubJsonReliableProtocol()));
  await client.joinGroup("room");
  const send = (n) => rest.group("room").sendToAll({ n });

  await send(0);
  assert.equal((await inbox["group-message"].next()).message.data.n, 0);
  assert.equal(await cut(), 1);
  for (let n = 1; n <= 20; n++) await send(n);
  const got = await inbox["group-message"].take(20);
  assert.deepEqual(got.map((e) => e.message.data.n), Array.from({ length: 20 }, (_, i) => i + 1));

  // Still the same connection, with the same groups and permissions.
  assert.equal(await rest.connectionExists(connectionId), true);
  await client.sendToGroup("room", { n: 21 }, "json");
  assert.equal((await inbox["group-message"].next()).message.data.n, 21);
  const members = [];
  for await (const m of await rest.group("room").listConnections()) members.push(m.connectionId);
  assert.deepEqual(members, [connectionId]);
});

test("reconnect: a client of the plain protocol gets a new connection and joins again", limit, async (t) => {
  const hub = newHub();
  const rest = service(hub);
  const { client, inbox, connectionId } = await startClient(t, hub, options(WebPubSubJsonProtocol()));
  await client.joinGroup("room");
  assert.equal(await cut(), 1);
  assert.equal((await inbox.disconnected.next()).connectionId, connectionId);
  const next = await inbox.connected.next();
  assert.notEqual(next.connectionId, connectionId);
  await rest.group("room").sendToAll("hello again", { contentType: "text/plain" });
  assert.equal((await inbox["group-message"].next()).message.data, "hello again");
  assert.equal(await rest.connectionExists(connectionId), false);
});

test("reconnect: a reliable client whose connection is gone starts a new one", limit, async (t) => {
  const hub = newHub();
  const rest = service(hub);
  const { inbox, connectionId } = await startClient(t, hub, options(WebPubSubJsonReliableProtocol()));
  assert.equal(await cut(), 1);
  // It is closed for good before it can recover, or just after.
  await rest.closeConnection(connectionId);
  assert.equal((await inbox.disconnected.next()).connectionId, connectionId);
  assert.notEqual((await inbox.connected.next()).connectionId, connectionId);
});
