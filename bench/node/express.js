// The official event handler on express, doing what handler_row.go describes.
import { WebPubSubEventHandler } from "@azure/web-pubsub-express";
import express from "express";
import { serveParent } from "./parent.js";

const handler = new WebPubSubEventHandler("chat", {
  path: "/eventhandler",
  handleConnect(req, res) {
    res.success({ userId: req.claims.sub[0], groups: ["lobby"], roles: ["webpubsub.sendToGroup"] });
  },
  handleUserEvent(req, res) {
    res.success("echo " + req.data, "text");
  },
});
const app = express();
app.use(handler.getMiddleware());
const server = app.listen(0, "127.0.0.1", () => serveParent(`127.0.0.1:${server.address().port}`));
