// Events of clients, answered by the Go event handler.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebPubSubJsonProtocol } from "@azure/web-pubsub-client";
import { connect, connectJSON, handlerHub, limit, newHub, seen, service, startClient } from "./helpers.js";

const once = { messageRetryOptions: { maxRetries: 0 } };

test("events: the reply comes before the acknowledgement", limit, async (t) => {
  const { socket, frames } = await connectJSON(t, handlerHub);
  socket.send(JSON.stringify({ type: "event", event: "echo", ackId: 1, dataType: "json", data: { a: [1, "<ü>"] } }));
  assert.deepEqual(await frames.take(2), [
    '{"type":"message","from":"server","dataType":"json","data":{"a":[1,"<ü>"]}}',
    '{"type":"ack","ackId":1,"success":true}',
  ]);
});

test("events: sendEvent is answered with every data type", limit, async (t) => {
  const { client, inbox } = await startClient(t, handlerHub);
  const bytes = new Uint8Array([0, 128, 255]);
  for (const [content, dataType] of [["hi", "text"], [{ hi: true }, "json"], [bytes.buffer, "binary"]]) {
    const result = await client.sendEvent("echo", content, dataType);
    assert.equal(result.isDuplicated, false);
    const { message } = await inbox["server-message"].next();
    assert.equal(message.dataType, dataType);
    assert.deepEqual(dataType === "binary" ? new Uint8Array(message.data) : message.data, dataType === "binary" ? bytes : content);
  }
});

test("event-errors: an event that the handler refuses fails, and the connection stays", limit, async (t) => {
  const { client, inbox } = await startClient(t, handlerHub, once);
  await assert.rejects(client.sendEvent("deny", "x", "text"), (error) => error.errorDetail.name === "InternalServerError");
  await assert.rejects(client.sendEvent("unknown", "x", "text"), (error) => error.errorDetail.name === "InternalServerError");
  await client.sendEvent("echo", "still here", "text");
  assert.equal((await inbox["server-message"].next()).message.data, "still here");
});

test("invoke: invokeEvent returns what the handler answers", limit, async (t) => {
  const { client } = await startClient(t, handlerHub);
  assert.deepEqual(await client.invokeEvent("echo", { hi: true }, "json", { invocationId: "one" }), {
    invocationId: "one",
    dataType: "json",
    data: { hi: true },
  });
  assert.equal((await client.invokeEvent("echo", "hi", "text")).data, "hi");
  await assert.rejects(client.invokeEvent("deny", "x", "text"), { name: "InvocationError" });
});

test("events: the connection's state travels from event to event", limit, async (t) => {
  const { client, inbox } = await startClient(t, handlerHub);
  for (const count of [1, 2, 3]) {
    await client.sendEvent("count", "", "text");
    assert.deepEqual((await inbox["server-message"].next()).message.data, { count });
  }
});

test("events: the handler publishes with the Go service client", limit, async (t) => {
  const room = newHub();
  const { client } = await startClient(t, handlerHub);
  const listener = await startClient(t, handlerHub, { token: { groups: [room] } });
  await client.sendEvent("publish", room, "text");
  const { message } = await listener.inbox["group-message"].next();
  assert.deepEqual([message.group, message.data], [room, room]);
});

test("start-stop: connected and disconnected reach the handler", limit, async (t) => {
  const { client, connectionId } = await startClient(t, handlerHub, {
    protocol: WebPubSubJsonProtocol(),
    token: { userId: "alice" },
  });
  assert.deepEqual(await seen(connectionId, "connected alice"), ["connect", "connected alice"]);
  client.stop();
  await seen(connectionId, "disconnected");
});

test("close-reason: the reason of a close reaches the handler", limit, async (t) => {
  const { connectionId } = await startClient(t, handlerHub, { autoReconnect: false });
  await service(handlerHub).closeConnection(connectionId, { reason: "enough" });
  await seen(connectionId, "disconnected Application server closed the connection. Reason: enough");
});

test("start-stop: the connect callback names the user", limit, async (t) => {
  const { first } = await connectJSON(t, handlerHub, { query: "&as=carol" });
  assert.equal(first.userId, "carol");
});

test("start-stop: the connect callback refuses with a status of its own", limit, async (t) => {
  await assert.rejects(connect(t, handlerHub, { query: "&refuse=yes" }), /Unexpected server response: 403/);
});

test("events: a simple client's frames are events", limit, async (t) => {
  const { socket, frames } = await connect(t, handlerHub);
  socket.send("shout");
  assert.equal(await frames.next(), "SHOUT");
});

test("event-errors: a simple client without a handler is closed", limit, async (t) => {
  const { socket, closed } = await connect(t, newHub());
  socket.send("is anybody there?");
  assert.equal((await closed).code, 1011);
});
