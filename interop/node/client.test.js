// The official client, with both of its protocols.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebPubSubJsonProtocol, WebPubSubJsonReliableProtocol } from "@azure/web-pubsub-client";
import { allRoles, connect, limit, newHub, secure, service, startClient } from "./helpers.js";

const protocols = { json: WebPubSubJsonProtocol, reliable: WebPubSubJsonReliableProtocol };

for (const [name, Protocol] of Object.entries(protocols)) {
  const options = (userId) => ({ protocol: Protocol(), token: { userId, roles: allRoles } });

  test(`start-stop: ${name}`, limit, async (t) => {
    const hub = newHub();
    const { client, inbox, connectionId } = await startClient(t, hub, options("alice"));
    assert.equal(await service(hub).connectionExists(connectionId), true);
    client.stop();
    assert.equal((await inbox.disconnected.next()).connectionId, connectionId);
    await inbox.stopped.next();
  });

  test(`publish, groups: ${name}, every data type`, limit, async (t) => {
    const hub = newHub();
    const alice = await startClient(t, hub, options("alice"));
    const bob = await startClient(t, hub, options("bob"));
    await bob.client.joinGroup("room");
    const bytes = new Uint8Array([0, 1, 255]);
    for (const [content, dataType] of [["hällo", "text"], [{ n: [1, null, "<&>"] }, "json"], [bytes.buffer, "binary"]]) {
      await alice.client.sendToGroup("room", content, dataType);
      const { message } = await bob.inbox["group-message"].next();
      assert.equal(message.group, "room");
      assert.equal(message.fromUserId, "alice");
      assert.equal(message.dataType, dataType);
      assert.deepEqual(dataType === "binary" ? new Uint8Array(message.data) : message.data, dataType === "binary" ? bytes : content);
    }
  });

  test(`no-echo: ${name}, the sender gets its own message unless it asks not to`, limit, async (t) => {
    const { client, inbox } = await startClient(t, newHub(), options("alice"));
    await client.joinGroup("room");
    await client.sendToGroup("room", "unheard", "text", { noEcho: true });
    await client.sendToGroup("room", "heard", "text");
    assert.equal((await inbox["group-message"].next()).message.data, "heard");
  });

  test(`groups: ${name}, who left a group gets nothing more`, limit, async (t) => {
    const hub = newHub();
    const { client, inbox } = await startClient(t, hub, options("alice"));
    await client.joinGroup("room");
    await client.joinGroup("other");
    await client.leaveGroup("room");
    await client.sendToGroup("room", "missed", "text");
    await client.sendToGroup("other", "got", "text");
    assert.equal((await inbox["group-message"].next()).message.data, "got");
  });

  test(`duplicate: ${name}, a repeated ack id does nothing again`, limit, async (t) => {
    const { client, inbox } = await startClient(t, newHub(), options("alice"));
    await client.joinGroup("room");
    assert.deepEqual(await client.sendToGroup("room", "once", "text", { ackId: 77 }), { ackId: 77, isDuplicated: false });
    assert.deepEqual(await client.sendToGroup("room", "twice", "text", { ackId: 77 }), { ackId: 77, isDuplicated: true });
    await client.sendToGroup("room", "last", "text");
    const got = await inbox["group-message"].take(2);
    assert.deepEqual(got.map((e) => e.message.data), ["once", "last"]);
  });

  test(`roles: ${name}, without them a client may not join or publish`, limit, async (t) => {
    const { client } = await startClient(t, newHub(), {
      protocol: Protocol(),
      token: { roles: ["webpubsub.joinLeaveGroup.mine"] },
      messageRetryOptions: { maxRetries: 0 },
    });
    await client.joinGroup("mine");
    const forbidden = (error) => error.name === "SendMessageError" && error.errorDetail.name === "Forbidden";
    await assert.rejects(client.joinGroup("yours"), forbidden);
    await assert.rejects(client.sendToGroup("mine", "x", "text"), forbidden);
  });

  test(`server-messages: ${name}, from the service client`, limit, async (t) => {
    const hub = newHub();
    const { client, inbox, connectionId } = await startClient(t, hub, options("alice"));
    const rest = service(hub);
    await client.joinGroup("room");
    await rest.sendToAll({ hello: "all" });
    await rest.sendToConnection(connectionId, "you", { contentType: "text/plain" });
    const [all, you] = await inbox["server-message"].take(2);
    assert.deepEqual([all.message.dataType, all.message.data], ["json", { hello: "all" }]);
    assert.deepEqual([you.message.dataType, you.message.data], ["text", "you"]);
    await rest.group("room").sendToAll(new Uint8Array([7]).buffer);
    const { message } = await inbox["group-message"].next();
    assert.deepEqual([message.dataType, new Uint8Array(message.data)], ["binary", new Uint8Array([7])]);
  });

  test(`event-errors: ${name}, an event without handler fails`, limit, async (t) => {
    const { client } = await startClient(t, newHub(), { ...options("alice"), messageRetryOptions: { maxRetries: 0 } });
    await assert.rejects(client.sendEvent("echo", "hi", "text"), (error) => {
      assert.equal(error.name, "SendMessageError");
      assert.equal(error.errorDetail.name, "InternalServerError");
      return true;
    });
    // The connection is none the worse.
    await client.joinGroup("room");
  });

  test(`close-reason: ${name}, why the service closed the connection`, limit, async (t) => {
    const hub = newHub();
    const { inbox, connectionId } = await startClient(t, hub, { ...options("alice"), autoReconnect: false });
    await service(hub).closeConnection(connectionId, { reason: "enough" });
    const gone = await inbox.disconnected.next();
    assert.equal(gone.connectionId, connectionId);
    assert.match(gone.message.message, /enough/);
    await inbox.stopped.next();
  });
}

test("publish: clients of all protocols share a group", limit, async (t) => {
  const hub = newHub();
  const simple = await connect(t, hub, { groups: ["room"] });
  const receivers = [];
  for (const Protocol of Object.values(protocols)) {
    const receiver = await startClient(t, hub, { protocol: Protocol(), token: { groups: ["room"] } });
    receivers.push(receiver);
  }
  const sender = await startClient(t, hub, { token: { userId: "sender", roles: allRoles } });
  await sender.client.sendToGroup("room", { n: 1 }, "json");
  assert.equal(await simple.frames.next(), '{"n":1}');
  for (const { inbox } of receivers) {
    assert.deepEqual((await inbox["group-message"].next()).message.data, { n: 1 });
  }
});

test("tls: over wss, as everywhere else", limit, async (t) => {
  const { client, inbox } = await startClient(t, newHub(), { cs: secure, token: { userId: "alice", roles: allRoles } });
  await client.joinGroup("room");
  await client.sendToGroup("room", { n: 1 }, "json");
  assert.deepEqual((await inbox["group-message"].next()).message.data, { n: 1 });
});
