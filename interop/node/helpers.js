// What the tests of this folder share. See ../doc.go for the environment.
import { WebPubSubServiceClient } from "@azure/web-pubsub";
import { WebPubSubClient } from "@azure/web-pubsub-client";
import WebSocket from "ws";

export const connectionString = process.env.WebPubSubConnectionString;
export const proxied = process.env.WEBPUBSUB_PROXY_CONNECTION_STRING;
export const secure = process.env.WEBPUBSUB_TLS_CONNECTION_STRING;
export const handlerHub = "events";
const harness = process.env.WEBPUBSUB_HARNESS_URL;

export const jsonProtocol = "json.webpubsub.azure.v1";
export const reliableProtocol = "json.reliable.webpubsub.azure.v1";

/** A test may take this long before it counts as hung. */
export const limit = { timeout: 30_000 };

let hubs = 0;

/** A hub that no other test uses; hubs need no declaration. */
export function newHub() {
  hubs++;
  return `hub_${process.pid}_${hubs}`;
}

/** The official service client. The emulator speaks http, which the SDK has to be allowed. */
export function service(hub, cs = connectionString) {
  return new WebPubSubServiceClient(cs, hub, { allowInsecureConnection: true });
}

/** The same with a token credential, over https. */
export function entraService(hub) {
  const expiresOnTimestamp = Date.now() + 3_600_000;
  const credential = { getToken: async () => ({ token: process.env.WEBPUBSUB_ENTRA_TOKEN, expiresOnTimestamp }) };
  return new WebPubSubServiceClient(secure.match(/Endpoint=(.*?);/)[1], credential, hub);
}

/** What arrived, in order; next() waits for the next one. */
export class Inbox {
  #items = [];
  #waiting = [];

  push(item) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter(item);
    else this.#items.push(item);
  }

  next() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async take(n) {
    const items = [];
    while (items.length < n) items.push(await this.next());
    return items;
  }
}

/**
 * A plain WebSocket, with the frames that came as strings and Buffers.
 * `options` are those of getClientAccessToken, and `query` is added to the URL.
 */
export async function connect(t, hub, { protocol, query = "", ...options } = {}) {
  const { url } = await service(hub).getClientAccessToken(options);
  return open(t, url + query, protocol);
}

export async function open(t, url, protocol) {
  const frames = new Inbox();
  const socket = new WebSocket(url, protocol ? [protocol] : []);
  t.after(() => socket.terminate());
  socket.on("message", (data, isBinary) => frames.push(isBinary ? data : data.toString()));
  const closed = new Promise((resolve) => {
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await new Promise((resolve, reject) => {
    socket.on("open", resolve);
    socket.on("error", reject);
  });
  return { socket, frames, closed };
}

/** The first frame of a subprotocol connection; for it to come is part of connecting. */
export async function connectJSON(t, hub, options = {}) {
  const client = await connect(t, hub, { protocol: jsonProtocol, ...options });
  const first = JSON.parse(await client.frames.next());
  return { ...client, first, connectionId: first.connectionId };
}

/** The official client, started, with an Inbox for each of its events. */
export async function startClient(t, hub, { token = {}, query = "", cs, ...options } = {}) {
  const client = new WebPubSubClient(
    { getClientAccessUrl: async () => (await service(hub, cs).getClientAccessToken(token)).url + query },
    options,
  );
  const inbox = {};
  for (const event of ["connected", "disconnected", "stopped", "group-message", "server-message", "rejoin-group-failed"]) {
    inbox[event] = new Inbox();
    client.on(event, (e) => inbox[event].push(e));
  }
  t.after(() => client.stop());
  await client.start();
  const { connectionId } = await inbox.connected.next();
  return { client, inbox, connectionId };
}

/** Roles that let a client do everything. */
export const allRoles = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"];

/** The claims of a token. */
export function claims(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
}

/** Waits until the Go event handler saw the event of the connection. */
export async function seen(connectionId, event) {
  for (;;) {
    const response = await fetch(`${harness}/seen?connection=${encodeURIComponent(connectionId)}`);
    const events = await response.json();
    if (events.includes(event)) return events;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Cuts every connection that goes through the proxy, and returns how many there were. */
export async function cut() {
  const response = await fetch(`${harness}/cut`, { method: "POST" });
  return response.json();
}

/** Waits for a status that the service reaches on its own time. */
export async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}
