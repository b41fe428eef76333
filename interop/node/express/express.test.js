// Events of clients, answered by the official Express middleware or by the same
// handler in Go: what the emulator sends is what both expect.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebPubSubJsonProtocol } from "@azure/web-pubsub-client";
import { connect, limit, service, startClient, until } from "../helpers.js";

const hub = "express";

async function seen(event) {
  await until(async () => (await (await fetch(`${process.env.UPSTREAM_URL}/seen`)).json()).includes(event));
}

test("upstream-user: user events are answered with every data type", limit, async (t) => {
  const { client, inbox } = await startClient(t, hub);
  const bytes = new Uint8Array([0, 128, 255]);
  for (const [content, dataType] of [["hällo", "text"], [{ hi: ["ü"] }, "json"], [bytes.buffer, "binary"]]) {
    await client.sendEvent("echo", content, dataType);
    const { message } = await inbox["server-message"].next();
    assert.equal(message.dataType, dataType);
    assert.deepEqual(dataType === "binary" ? new Uint8Array(message.data) : message.data, dataType === "binary" ? bytes : content);
  }
});

test("upstream-connect: connect sets user, groups and roles", limit, async (t) => {
  const { client, inbox } = await startClient(t, hub, { query: "&as=carol" });
  await client.sendToGroup("welcome", "hi", "text");
  const { message } = await inbox["group-message"].next();
  assert.deepEqual([message.group, message.fromUserId, message.data], ["welcome", "carol", "hi"]);
});

test("upstream-connect: connect refuses", limit, async (t) => {
  await assert.rejects(connect(t, hub, { query: "&refuse=401" }), /Unexpected server response: 401/);
});

test("upstream-state: state travels from event to event", limit, async (t) => {
  const { client, inbox } = await startClient(t, hub);
  for (const count of [1, 2, 3]) {
    await client.sendEvent("count", "", "text");
    assert.deepEqual((await inbox["server-message"].next()).message.data, { count });
  }
});

test("upstream-fail: a refused event fails", limit, async (t) => {
  const { client } = await startClient(t, hub, { messageRetryOptions: { maxRetries: 0 } });
  await assert.rejects(client.sendEvent("deny", "x", "text"), (error) => error.errorDetail.name === "InternalServerError");
});

test("upstream-simple: a simple client's frames are events", limit, async (t) => {
  const { socket, frames } = await connect(t, hub);
  socket.send("text");
  assert.equal(await frames.next(), "text");
  socket.send(Buffer.from([1, 2]));
  assert.deepEqual(await frames.next(), Buffer.from([1, 2]));
});

test("upstream-notify: connected and disconnected arrive", limit, async (t) => {
  const { connectionId } = await startClient(t, hub, { token: { userId: "dave" }, autoReconnect: false });
  await seen("connected dave");
  await service(hub).closeConnection(connectionId, { reason: "enough" });
  await seen("disconnected dave Application server closed the connection. Reason: enough");
});

test("upstream-notify: who joins and leaves a group is told", limit, async (t) => {
  const { client } = await startClient(t, hub, {
    query: "&as=erin", token: { roles: ["webpubsub.joinLeaveGroup"] }, protocol: WebPubSubJsonProtocol(),
  });
  await seen("joined erin welcome");
  client.stop();
  await seen("left erin welcome");
});
