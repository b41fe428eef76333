// The event handlers of the official Express middleware: one for the hub
// "express", which does what gohandler_test.go does in Go, and one for "bare", which
// has no callbacks. It prints its address when it listens.
import { WebPubSubEventHandler } from "@azure/web-pubsub-express";
import express from "express";

const seen = [];
const allowedEndpoints = ["http://127.0.0.1"];

/** Sets a state in several ways, of which the last one counts. */
function setStates(response) {
  response.setState("key1", "val1");
  response.setState("key1", ["val3"]);
  response.setState("key2", "val2");
  response.setState("key3", "");
}

/** What connect does, by a parameter of the client's query. */
const connects = {
  refuse: (_, response, status) => response.fail(Number(status), "refused by the test"),
  failWith: (_, response, status) => response.failWith({ code: Number(status), detail: "Auth failed" }),
  mqttCode: (_, response, code) => response.failWith({ mqtt: { code: Number(code), reason: "bad" } }),
  nothing: (_, response) => response.success(),
  mqtt: (_, response) => response.success({ userId: "u", mqtt: { userProperties: [{ name: "a", value: "b" }] } }),
  states: (_, response) => {
    setStates(response);
    response.success();
  },
};

const events = {
  deny: (_, response) => response.fail(400, "denied by the test"),
  fail: (_, response) => response.fail(500),
  quiet: (_, response) => response.success(),
  throw: () => {
    throw new Error("thrown by the test");
  },
  states: (request, response) => {
    setStates(response);
    response.success(JSON.stringify(request.context.states), "json");
  },
  count: (request, response) => {
    response.setState("visits", request.context.states.visits + 1);
    response.success(JSON.stringify({ count: request.context.states.visits }), "json");
  },
};

function echo({ data, dataType }, response) {
  if (dataType === "json") response.success(JSON.stringify(data), "json");
  // The response of Node takes no ArrayBuffer.
  else response.success(dataType === "binary" ? new Uint8Array(data) : data, dataType);
}

const handler = new WebPubSubEventHandler("express", {
  allowedEndpoints,
  handleConnect(request, response) {
    for (const [name, connect] of Object.entries(connects)) {
      const value = request.queries?.[name]?.[0];
      if (value !== undefined) {
        connect(request, response, value);
        return;
      }
    }
    response.setState("visits", 0);
    response.success({ userId: request.queries?.as?.[0], groups: ["welcome"], roles: ["webpubsub.sendToGroup"] });
  },
  handleUserEvent: (request, response) => (events[request.context.eventName] ?? echo)(request, response),
  onConnected: ({ context }) => seen.push(`connected ${context.userId}`),
  onDisconnected: ({ context, reason }) => seen.push(`disconnected ${context.userId} ${reason}`),
  onGroupJoined: ({ context, group }) => seen.push(`joined ${context.userId} ${group}`),
  onGroupLeft: ({ context, group }) => seen.push(`left ${context.userId} ${group}`),
});

const app = express();
app.use(handler.getMiddleware());
app.use(new WebPubSubEventHandler("bare", { allowedEndpoints }).getMiddleware());
app.get("/seen", (_, response) => response.json(seen));
const server = app.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
