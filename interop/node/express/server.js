// The event handler of the official Express middleware. It prints its address
// when it listens.
import { WebPubSubEventHandler } from "@azure/web-pubsub-express";
import express from "express";

const seen = [];

const handler = new WebPubSubEventHandler("express", {
  allowedEndpoints: ["http://127.0.0.1"],
  handleConnect(request, response) {
    if (request.queries.refuse) {
      response.fail(401, "refused by the test");
      return;
    }
    response.setState("visits", 0);
    response.success({ userId: request.queries.as?.[0], groups: ["welcome"], roles: ["webpubsub.sendToGroup"] });
  },
  handleUserEvent(request, response) {
    switch (request.context.eventName) {
      case "deny":
        response.fail(400, "denied by the test");
        return;
      case "count":
        response.setState("visits", request.context.states.visits + 1);
        response.success(JSON.stringify({ count: request.context.states.visits }), "json");
        return;
      default: {
        const { data, dataType } = request;
        if (dataType === "json") response.success(JSON.stringify(data), "json");
        // The response of Node takes no ArrayBuffer.
        else response.success(dataType === "binary" ? new Uint8Array(data) : data, dataType);
      }
    }
  },
  onConnected: ({ context }) => seen.push(`connected ${context.userId}`),
  onDisconnected: ({ context, reason }) => seen.push(`disconnected ${context.userId} ${reason}`),
});

const app = express();
app.use(handler.getMiddleware());
app.get("/seen", (_, response) => response.json(seen));
const server = app.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
