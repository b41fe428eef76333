// Streams to a group, from one official client to another.
import assert from "node:assert/strict";
import { test } from "node:test";
import { allRoles, cut, Inbox, limit, newHub, proxied, secure, startClient } from "./helpers.js";

/**
 * Two clients of a group, and an Inbox of the streams that the second one got,
 * each as { streamId, items, error } when it has ended.
 */
async function pair(t, options = {}) {
  const hub = newHub();
  const sender = await startClient(t, hub, { token: { userId: "alice", roles: allRoles }, ...options });
  const receiver = await startClient(t, hub, { token: { roles: allRoles }, ...(options.cs === secure && { cs: secure }) });
  await receiver.client.joinGroup("room");
  const streams = new Inbox();
  receiver.client.onGroupStream(async (stream) => {
    const { streamId, groupName } = stream;
    const got = { streamId, groupName, items: [], error: undefined };
    try {
      for await (const message of stream) got.items.push(message);
    } catch (error) {
      got.error = error;
    }
    streams.push(got);
  });
  return { sender, receiver, streams };
}

const data = (stream) => stream.items.map((m) => m.data);

test("streams: a text stream completes with all of its text", limit, async (t) => {
  const { sender, streams } = await pair(t);
  const writer = await sender.client.openGroupStream("room");
  const words = ["to ", "be ", "or ", "nöt"];
  for (const word of words) await writer.write(word, "text");
  await writer.end();
  const got = await streams.next();
  assert.deepEqual([got.streamId, got.groupName, got.error], [writer.streamId, "room", undefined]);
  assert.equal(data(got).join(""), words.join(""));
  assert.deepEqual(got.items.map((m) => [m.fromUserId, m.stream.streamSequenceId]), words.map((_, i) => ["alice", i + 1]));
});

test("streams: one that ends at once completes without messages", limit, async (t) => {
  const { sender, streams } = await pair(t);
  await (await sender.client.openGroupStream("room", { streamId: "empty" })).end();
  const { streamId, items, error } = await streams.next();
  assert.deepEqual([streamId, items, error], ["empty", [], undefined]);
});

test("streams: JSON fragments arrive in order", limit, async (t) => {
  const { sender, streams } = await pair(t);
  const writer = await sender.client.openGroupStream("room");
  const fragments = Array.from({ length: 100 }, (_, n) => ({ n, text: "<ü>" }));
  await Promise.all(fragments.map((f) => writer.write(f, "json")));
  await writer.end();
  assert.deepEqual(data(await streams.next()), fragments);
});

test("streams: bytes stay bytes", limit, async (t) => {
  const { sender, streams } = await pair(t);
  const writer = await sender.client.openGroupStream("room");
  const bytes = new Uint8Array([0, 128, 255]);
  await writer.write(bytes.buffer, "binary");
  await writer.end();
  assert.deepEqual(data(await streams.next()).map((d) => new Uint8Array(d)), [bytes]);
});

test("streams: two at once are kept apart", limit, async (t) => {
  const { sender, streams } = await pair(t);
  const a = await sender.client.openGroupStream("room", { streamId: "a" });
  const b = await sender.client.openGroupStream("room", { streamId: "b" });
  for (let n = 0; n < 10; n++) {
    await a.write(`a${n}`, "text");
    await b.write(`b${n}`, "text");
  }
  await b.end();
  await a.end();
  for (const stream of (await streams.take(2)).sort((x, y) => (x.streamId < y.streamId ? -1 : 1))) {
    assert.deepEqual(data(stream), Array.from({ length: 10 }, (_, n) => `${stream.streamId}${n}`));
  }
});

test("streams: an end with an error reaches the reader whole", limit, async (t) => {
  const { sender, streams } = await pair(t);
  const writer = await sender.client.openGroupStream("room");
  await writer.write("half", "text");
  await writer.abort({ message: "out of words", userErrorCode: "E42" });
  const { items, error } = await streams.next();
  assert.deepEqual(items.map((m) => m.data), ["half"]);
  const { name, message, userErrorCode } = error.errorDetail ?? error;
  assert.deepEqual([name, message, userErrorCode], ["UserError", "out of words", "E42"]);
});

test("streams: the sender is left out where it says so", limit, async (t) => {
  const { sender, streams } = await pair(t);
  await sender.client.joinGroup("room");
  const own = [];
  sender.client.onGroupStream((stream) => own.push(stream.streamId));
  for (const [streamId, noEcho] of [["quiet", true], ["echoed", false]]) {
    const writer = await sender.client.openGroupStream("room", { streamId, noEcho });
    await writer.write("x", "text");
    await writer.end();
    await streams.next();
  }
  await sender.client.leaveGroup("room"); // its acknowledgement comes after the streams
  assert.deepEqual(own, ["echoed"]);
});

test("streams, recovery: a stream goes on after a lost network, with nothing lost or repeated", limit, async (t) => {
  const { sender, streams } = await pair(t, { cs: proxied });
  const writer = await sender.client.openGroupStream("room");
  const fragments = Array.from({ length: 40 }, (_, n) => n);
  for (const n of fragments) {
    if (n === 20) assert.equal(await cut(), 1);
    await writer.write(n, "json");
  }
  await writer.end();
  const got = await streams.next();
  assert.equal(got.error, undefined);
  assert.deepEqual(data(got), fragments);
});

// Over TLS on loopback, end() often fails: the acknowledgement comes before the client
// awaits it. Over a network it comes later.
test("streams, tls: over wss, with the latency of a network", limit, async (t) => {
  const { sender, streams } = await pair(t, { cs: secure });
  for (let n = 0; n < 20; n++) {
    const writer = await sender.client.openGroupStream("room");
    await writer.write(n, "json");
    await writer.end();
    assert.deepEqual(data(await streams.next()), [n]);
  }
});

test("streams, roles: without the role there is none", limit, async (t) => {
  const { client } = await startClient(t, newHub());
  await assert.rejects(client.openGroupStream("room"), (error) => {
    assert.match(`${error.name} ${error.message} ${JSON.stringify(error.errorDetail)}`, /Forbidden/);
    return true;
  });
});
