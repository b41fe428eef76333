// Makes client access tokens with the official service client.
import { WebPubSubServiceClient } from "@azure/web-pubsub";
import { cpuSeconds, seconds, serveParent } from "./parent.js";

const client = new WebPubSubServiceClient(process.argv[2], "chat", { allowInsecureConnection: true });
const options = { userId: "alice", roles: ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"], groups: ["lobby"] };

serveParent("ready", async (line) => {
  const limit = seconds(line);
  const cpu = cpuSeconds();
  const started = performance.now();
  let Count = 0;
  let Token = "";
  while (performance.now() - started < limit * 1000) {
    for (let i = 0; i < 100; i++) {
      Token = (await client.getClientAccessToken(options)).token;
      Count++;
    }
  }
  return { Count, Token, CPU: cpuSeconds() - cpu, Seconds: (performance.now() - started) / 1000 };
});

