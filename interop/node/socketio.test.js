// The server side of Web PubSub for Socket.IO, whose default mode is the service's
// tunnel: Microsoft's own client end of it. The emulator serves no Socket.IO clients,
// but every request that arrives through the tunnel gets a response.
import assert from "node:assert/strict";
import { test } from "node:test";

import { useAzureSocketIO } from "@azure/web-pubsub-socket.io";
import { Server } from "socket.io";

import { connectionString, connectJSON, limit, newHub, service } from "./helpers.js";

/** A Socket.IO server with an open tunnel, and the calls that it makes through it. */
async function start(t, hub, cs = connectionString) {
  const io = new Server(0);
  const opened = useAzureSocketIO(io, { hub, connectionString: cs });
  const tunnel = io.engine.webPubSubConnectionManager.service;
  t.after(() => {
    tunnel.stop();
    return new Promise((resolve) => io.close(resolve));
  });
  await opened;
  return { io, tunnel };
}

test("tunnel-rest: sends reach clients of the hub", limit, async (t) => {
  const hub = newHub();
  const { tunnel } = await start(t, hub);
  const alice = await connectJSON(t, hub, { userId: "alice" });
  const bob = await connectJSON(t, hub, { userId: "bob" });

  await tunnel.sendToAll("to alice", { filter: "userId ne 'bob'" });
  await tunnel.sendToConnection(bob.connectionId, "to bob");
  assert.equal(JSON.parse(await alice.frames.next()).data, "to alice");
  assert.equal(JSON.parse(await bob.frames.next()).data, "to bob");

  await tunnel.addConnectionsToGroups(["room"], "userId eq 'bob'");
  await tunnel.group("room").sendToAll("to the room");
  assert.equal(JSON.parse(await bob.frames.next()).data, "to the room");
  await tunnel.group("room").removeConnection(bob.connectionId);
  assert.equal(await service(hub).groupExists("room"), false);
  await tunnel.addConnectionsToGroups(["room"], "userId eq 'bob'");
  await tunnel.removeConnectionsFromGroups(["room"], "userId eq 'bob'");
  assert.equal(await service(hub).groupExists("room"), false);
});

test("tunnel-rest: what is no public operation gets 501", limit, async (t) => {
  const { io, tunnel } = await start(t, newHub());
  await assert.rejects(tunnel.invoke("2[]", () => {}), /unexpected status code 501/);
  await assert.rejects(tunnel.sendToAll("x", { filter: "not a filter" }), /unexpected status code 400/);
  await assert.rejects(io.timeout(100).emitWithAck("question"), /timed out/);
});

test("tunnel-events: events of the hub get their responses through the tunnel", limit, async (t) => {
  await start(t, "socketio");
  // This client is no Socket.IO client, so it is rejected: by the server at the other
  // end of the tunnel.
  await assert.rejects(connectJSON(t, "socketio"), /Unexpected server response: 40[01]/);
});
