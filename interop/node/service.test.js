// The official service client against the REST API.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AzureKeyCredential, odata, WebPubSubServiceClient } from "@azure/web-pubsub";
import { allRoles, claims, connect, connectJSON, connectionString, entraService, jsonProtocol, limit, newHub, open, service, until } from "./helpers.js";

const invalidFilter =
  "Invalid syntax for 'invalid filter': Syntax error at position 14 in 'invalid filter'. (Parameter 'filter')";

/** Runs f and returns the HTTP status of its last response. */
async function status(f) {
  let last;
  await f({ onResponse: (response) => (last = response.status) });
  return last;
}

test("send-all, send-group, send-user, send-connection, expiry: accepted whoever is there", limit, async () => {
  const client = service(newHub());
  const binary = new Uint8Array([5, 1, 1]).buffer;
  for (const send of [
    (m, o) => client.sendToAll(m, o),
    (m, o) => client.sendToUser("nobody", m, o),
    (m, o) => client.sendToConnection("none", m, o),
    (m, o) => client.group("empty").sendToAll(m, o),
  ]) {
    assert.equal(await status((o) => send("text", { ...o, contentType: "text/plain" })), 202);
    assert.equal(await status((o) => send({ x: 1 }, o)), 202);
    assert.equal(await status((o) => send(binary, { ...o, messageTtlSeconds: 60 })), 202);
  }
});

test("key: a key credential works like a connection string", limit, async () => {
  const [, endpoint, key] = connectionString.match(/Endpoint=(.*?);AccessKey=(.*?);/);
  const client = new WebPubSubServiceClient(endpoint, new AzureKeyCredential(key), newHub(), {
    allowInsecureConnection: true,
  });
  assert.equal(await status((o) => client.sendToAll("hi", { ...o, contentType: "text/plain" })), 202);
});

test("key: a wrong key is refused with 401", limit, async () => {
  const client = service(newHub(), connectionString.replace("AccessKey=", "AccessKey=X"));
  await assert.rejects(client.sendToAll("hi"), { name: "RestError", statusCode: 401 });
});

test("filter, errors: a filter that is no filter is refused with the service's words", limit, async () => {
  const client = service(newHub());
  const refused = (error) => {
    assert.equal(error.statusCode, 400);
    assert.equal(error.response.headers.get("x-ms-error-code"), "Error.BadRequest");
    // The SDK leaves application/problem+json alone, and its own tests parse it.
    assert.equal(JSON.parse(error.message).message, invalidFilter);
    return true;
  };
  const o = { filter: "invalid filter" };
  assert.equal(await status((s) => client.sendToAll("x", { ...s, filter: "userId ne 'user1'", messageTtlSeconds: 60 })), 202);
  await assert.rejects(client.sendToAll("x", o), refused);
  await assert.rejects(client.sendToUser("u", "x", o), refused);
  await assert.rejects(client.group("g").sendToAll("x", o), refused);
  await assert.rejects(client.addConnectionsToGroups(["g"], o.filter), refused);
  await assert.rejects(client.removeConnectionsFromGroups(["g"], o.filter), refused);
});

test("exists, errors, group-members, permissions, close: nothing exists in an empty hub", limit, async () => {
  const client = service(newHub());
  assert.equal(await client.connectionExists("none"), false);
  assert.equal(await client.userExists("nobody"), false);
  assert.equal(await client.groupExists("empty"), false);
  assert.equal(await client.hasPermission("none", "sendToGroup", { targetName: "g" }), false);

  await assert.rejects(client.group("g").addConnection("none"), { name: "RestError", statusCode: 404, code: "Error.Connection.NotExisted" });
  await assert.rejects(client.group("g").addUser("nobody"), { name: "RestError", statusCode: 404, code: "Warning.User.NotExisted" });
  await assert.rejects(client.grantPermission("none", "joinLeaveGroup", { targetName: "g" }), { name: "RestError", statusCode: 404 });

  assert.equal(await status((o) => client.group("g").removeConnection("none", o)), 204);
  assert.equal(await status((o) => client.group("g").removeUser("nobody", o)), 204);
  assert.equal(await status((o) => client.removeUserFromAllGroups("nobody", o)), 204);
  assert.equal(await status((o) => client.removeConnectionFromAllGroups("none", o)), 204);
  assert.equal(await status((o) => client.revokePermission("none", "sendToGroup", { ...o, targetName: "g" })), 204);
  assert.equal(await status((o) => client.closeConnection("none", { ...o, reason: "gone" })), 204);
  assert.equal(await status((o) => client.closeUserConnections("nobody", o)), 204);
  assert.equal(await status((o) => client.closeAllConnections(o)), 204);
  assert.equal(await status((o) => client.group("g").closeAllConnections(o)), 204);
  assert.equal(await status((o) => client.addConnectionsToGroups(["g"], "userId eq 'nobody'", o)), 200);
  assert.equal(await status((o) => client.removeConnectionsFromGroups(["g"], "userId eq 'nobody'", o)), 200);
});

test("exists, group-members, permissions: of a connection", limit, async (t) => {
  const hub = newHub();
  const client = service(hub);
  const group = client.group("room 1/ü");
  const { connectionId } = await connectJSON(t, hub, { userId: "al ice" });

  assert.equal(await client.connectionExists(connectionId), true);
  assert.equal(await client.userExists("al ice"), true);

  const plain = client.group("room 1 ü");
  assert.equal(await status((o) => plain.addConnection(connectionId, o)), 200);
  assert.equal(await client.groupExists("room 1 ü"), true);
  await plain.removeConnection(connectionId);
  assert.equal(await client.groupExists("room 1 ü"), false);
  await plain.addUser("al ice");
  assert.equal(await client.groupExists("room 1 ü"), true);
  await client.removeUserFromAllGroups("al ice");
  assert.equal(await client.groupExists("room 1 ü"), false);
  assert.equal(await status((o) => group.removeConnection(connectionId, o)), 204);

  const target = { targetName: "g" };
  assert.equal(await client.hasPermission(connectionId, "sendToGroup", target), false);
  await client.grantPermission(connectionId, "sendToGroup", target);
  assert.equal(await client.hasPermission(connectionId, "sendToGroup", target), true);
  assert.equal(await client.hasPermission(connectionId, "joinLeaveGroup", target), false);
  await client.revokePermission(connectionId, "sendToGroup", target);
  assert.equal(await client.hasPermission(connectionId, "sendToGroup", target), false);
});

test("group-list: connections of a group are listed in pages", limit, async (t) => {
  const hub = newHub();
  const group = service(hub).group("g");
  const ids = [];
  for (const userId of ["a", "b", "c", "d", "e", undefined]) {
    ids.push((await connectJSON(t, hub, { userId, groups: ["g"] })).connectionId);
  }
  for (const [options, members, pages] of [
    [{ top: 6 }, 6, 1],
    [{ top: 3 }, 3, 1],
    [{ maxPageSize: 2 }, 6, 3],
    [{ top: 5, maxPageSize: 2 }, 5, 3],
  ]) {
    const sizes = [];
    const seen = new Set();
    for await (const page of (await group.listConnections(options)).byPage()) {
      sizes.push(page.length);
      for (const member of page) seen.add(member.connectionId);
    }
    assert.equal(sizes.length, pages, JSON.stringify(options));
    assert.equal(seen.size, members, JSON.stringify(options));
    for (const id of seen) assert.ok(ids.includes(id));
  }
  const users = [];
  for await (const member of await group.listConnections()) users.push(member.userId ?? "-");
  assert.deepEqual(users.sort(), ["-", "a", "b", "c", "d", "e"]);
});

test("filter: filters choose the receivers", limit, async (t) => {
  const hub = newHub();
  const client = service(hub);
  const anonymous = await connect(t, hub);
  const alice = await connect(t, hub, { userId: "alice", groups: ["groupA"] });
  const bob = await connect(t, hub, { userId: "bob", groups: ["groupA", "groupB"] });
  const send = (text, filter) => client.sendToAll(text, { contentType: "text/plain", filter });

  await send("for anonymous", "userId eq null");
  await send("for alice", odata`${"groupA"} in groups and not(${"groupB"} in groups)`);
  await send("for bob", odata`userId eq ${"bob"}`);
  await send("for all", "connectionId ne 'none'");
  for (const [who, name] of [[anonymous, "anonymous"], [alice, "alice"], [bob, "bob"]]) {
    assert.deepEqual(await who.frames.take(2), [`for ${name}`, "for all"]);
  }
});

test("group-bulk: a filter adds and removes members of several groups", limit, async (t) => {
  const hub = newHub();
  const client = service(hub);
  const send = (group, text) => client.group(group).sendToAll(text, { contentType: "text/plain" });
  const one = await connect(t, hub, { userId: "user 1" });
  const two = await connect(t, hub, { userId: "user 1" });
  await client.addConnectionsToGroups(["g1", "g2"], odata`userId eq ${"user 1"}`);
  await send("g1", "first");
  await send("g2", "second");
  await client.removeConnectionsFromGroups(["g1"], odata`userId eq ${"user 1"}`);
  await send("g1", "nobody is left");
  await send("g2", "third");
  for (const who of [one, two]) assert.deepEqual(await who.frames.take(3), ["first", "second", "third"]);
});

test("close: closed connections are told why", limit, async (t) => {
  const hub = newHub();
  const client = service(hub);
  const reason = "maintenance";
  const closings = {
    connection: (id) => client.closeConnection(id, { reason }),
    user: () => client.closeUserConnections("alice", { reason }),
    group: () => client.group("g").closeAllConnections({ reason }),
    hub: () => client.closeAllConnections({ reason }),
  };
  for (const [scope, close] of Object.entries(closings)) {
    const client1 = await connectJSON(t, hub, { userId: "alice", groups: ["g"] });
    await close(client1.connectionId);
    const frame = JSON.parse(await client1.frames.next());
    assert.equal(frame.type, "system", scope);
    assert.equal(frame.event, "disconnected", scope);
    assert.match(frame.message, /maintenance/, scope);
    assert.equal((await client1.closed).code, 1000, scope);
    await until(async () => !(await client.connectionExists(client1.connectionId)));
  }
});

test("token: client access tokens have the shape that clients expect", limit, async () => {
  const hub = newHub();
  const { url, baseUrl, token } = await service(hub).getClientAccessToken({ userId: "u", roles: allRoles, groups: ["g"] });
  assert.equal(url, `${baseUrl}?access_token=${token}`);
  assert.match(baseUrl, new RegExp(`^ws://.*/client/hubs/${hub}$`));
});

test("token-protocols: MQTT and Socket.IO clients have URLs of their own", limit, async () => {
  const hub = newHub();
  const [, endpoint] = connectionString.match(/Endpoint=http(.*?);/);
  for (const [clientProtocol, path] of [["mqtt", "clients/mqtt"], ["socketio", "clients/socketio"], ["default", "client"]]) {
    const { baseUrl, token } = await service(hub).getClientAccessToken({ clientProtocol });
    assert.equal(baseUrl, `ws${endpoint}/${path}/hubs/${hub}`);
    assert.equal(claims(token).aud, `http${endpoint}/${path}/hubs/${hub}`);
  }
});

test("reverse-proxy: requests go to the proxy, tokens are for the endpoint", limit, async () => {
  const client = new WebPubSubServiceClient(
    connectionString.replace(/Endpoint=.*?;/, "Endpoint=http://webpubsub.invalid;"), newHub(),
    { allowInsecureConnection: true, reverseProxyEndpoint: process.env.WEBPUBSUB_REVERSE_PROXY },
  );
  assert.equal(await status((o) => client.sendToAll("hi", { ...o, contentType: "text/plain" })), 202);
  assert.equal(await client.userExists("nobody"), false);
});

test("entra, send-all, permissions: a token credential, over https", limit, async (t) => {
  const hub = newHub();
  const client = entraService(hub);
  const { url, baseUrl } = await client.getClientAccessToken({ userId: "alice", groups: ["g"] });
  assert.match(baseUrl, /^wss:/);
  const { frames } = await open(t, url, jsonProtocol);
  const { userId, connectionId } = JSON.parse(await frames.next());
  assert.equal(userId, "alice");
  const told = async () => JSON.parse(await frames.next()).data;
  assert.equal(await status((o) => client.sendToAll({ n: 1 }, { ...o, filter: "userId eq 'alice'" })), 202);
  assert.deepEqual(await told(), { n: 1 });
  assert.equal(await status((o) => client.group("g").sendToAll("text", { ...o, contentType: "text/plain" })), 202);
  assert.equal(await told(), "text");
  assert.equal(await status((o) => client.sendToUser("alice", new Uint8Array([5, 1, 1]).buffer, o)), 202);
  assert.equal(await told(), "BQEB");
  await client.grantPermission(connectionId, "sendToGroup", { targetName: "g" });
  assert.equal(await client.hasPermission(connectionId, "sendToGroup", { targetName: "g" }), true);
  await assert.rejects(client.sendToAll("x", { filter: "invalid filter" }), { statusCode: 400 });
});

test("entra, token-protocols: the service makes the tokens of a token credential", limit, async () => {
  const hub = newHub();
  for (const [clientProtocol, path] of [["default", "client"], ["mqtt", "clients/mqtt"], ["socketio", "clients/socketio"]]) {
    const { baseUrl, token } = await entraService(hub).getClientAccessToken({ clientProtocol, expirationTimeInMinutes: 5 });
    assert.ok(baseUrl.endsWith(`/${path}/hubs/${hub}`), baseUrl);
    assert.equal(claims(token).aud, baseUrl.replace("wss:", "https:"));
  }
});
