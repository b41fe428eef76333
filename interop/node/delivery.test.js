// What clients get of what the service client sends, byte for byte.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, connectJSON, limit, newHub, open, service } from "./helpers.js";

const json = { message: "Hello world!" };
const text = "Hi there!";
const bytes = new Uint8Array([5, 1, 1]);

/** Sends a JSON, a text and a binary message. */
async function sendThree(send) {
  await send(json);
  await send(text, { contentType: "text/plain" });
  await send(bytes.buffer);
}

const simpleFrames = ['{"message":"Hello world!"}', text, Buffer.from(bytes)];

const serverFrames = [
  '{"type":"message","from":"server","dataType":"json","data":{"message":"Hello world!"}}',
  '{"type":"message","from":"server","dataType":"text","data":"Hi there!"}',
  '{"type":"message","from":"server","dataType":"binary","data":"BQEB"}',
];

/** The four sends of the service client. Every client of the hub is the receiver of each. */
function sends(client, connectionId) {
  return {
    all: (...m) => client.sendToAll(...m),
    group: (...m) => client.group("g").sendToAll(...m),
    user: (...m) => client.sendToUser("alice", ...m),
    connection: (...m) => client.sendToConnection(connectionId, ...m),
  };
}

test("send-all, send-group, send-user, send-connection: simple clients get payloads", limit, async (t) => {
  const hub = newHub();
  const client = service(hub);
  const alice = await connect(t, hub, { userId: "alice", groups: ["g"] });
  const members = await client.group("g").listConnections();
  const { connectionId } = (await members.next()).value;
  for (const [to, send] of Object.entries(sends(client, connectionId))) {
    await sendThree(send);
    assert.deepEqual(await alice.frames.take(3), simpleFrames, to);
  }
});

test("send-all, send-group, send-user, send-connection: JSON clients get envelopes, exactly so", limit, async (t) => {
  const hub = newHub();
  const alice = await connectJSON(t, hub, { userId: "alice", groups: ["g"] });
  const { group, ...others } = sends(service(hub), alice.connectionId);
  for (const [to, send] of Object.entries(others)) {
    await sendThree(send);
    assert.deepEqual(await alice.frames.take(3), serverFrames, to);
  }
  await sendThree(group);
  const frames = (await alice.frames.take(3)).map((f) => JSON.parse(f));
  for (const frame of frames) {
    assert.equal(frame.type, "message");
    assert.equal(frame.from, "group");
    assert.equal(frame.group, "g");
  }
  assert.deepEqual(frames.map((f) => [f.dataType, f.data]), [["json", json], ["text", text], ["binary", "BQEB"]]);
});

test("send-all: a JSON string stays a JSON string", limit, async (t) => {
  const hub = newHub();
  const simple = await connect(t, hub);
  const subprotocol = await connectJSON(t, hub);
  await service(hub).sendToAll("quoted");
  assert.equal(await simple.frames.next(), '"quoted"');
  assert.equal(await subprotocol.frames.next(), '{"type":"message","from":"server","dataType":"json","data":"quoted"}');
});

test("token: the connected frame comes first", limit, async (t) => {
  const hub = newHub();
  const alice = await connectJSON(t, hub, { userId: "alice" });
  assert.equal(alice.first.type, "system");
  assert.equal(alice.first.event, "connected");
  assert.equal(alice.first.userId, "alice");
  assert.equal(typeof alice.connectionId, "string");
  assert.equal("reconnectionToken" in alice.first, false);
});

test("token: its groups are joined", limit, async (t) => {
  const hub = newHub();
  const client = service(hub);
  const both = await connect(t, hub, { groups: ["g1", "g2"] });
  await client.group("g1").sendToAll("one", { contentType: "text/plain" });
  await client.group("g2").sendToAll("two", { contentType: "text/plain" });
  assert.deepEqual(await both.frames.take(2), ["one", "two"]);
});

test("excluded: excluded connections are left out", limit, async (t) => {
  const hub = newHub();
  const client = service(hub);
  const one = await connectJSON(t, hub, { groups: ["g"] });
  const two = await connectJSON(t, hub, { groups: ["g"] });
  const o = { contentType: "text/plain", excludedConnections: [one.connectionId] };
  await client.sendToAll("to two", o);
  await client.group("g").sendToAll("to two", o);
  await client.sendToAll("to both", { contentType: "text/plain" });
  const data = async (who, n) => (await who.frames.take(n)).map((f) => JSON.parse(f).data);
  assert.deepEqual(await data(two, 3), ["to two", "to two", "to both"]);
  assert.deepEqual(await data(one, 1), ["to both"]);
});

test("token: bad ones are refused with 401", limit, async (t) => {
  const hub = newHub();
  const { baseUrl, token } = await service(hub).getClientAccessToken();
  const foreign = (await service(newHub()).getClientAccessToken()).token;
  const expired = (await service(hub).getClientAccessToken({ expirationTimeInMinutes: -10 })).token;
  for (const [what, query] of Object.entries({
    "no token": "",
    "damaged signature": `?access_token=${token.slice(0, -4)}AAAA`,
    "no token at all": "?access_token=x",
    "another hub": `?access_token=${foreign}`,
    expired: `?access_token=${expired}`,
  })) {
    await assert.rejects(open(t, baseUrl + query), /Unexpected server response: 401/, what);
  }
});
