// A client in JavaScript without packages, for compose.yaml: it prints what it receives.
// It needs Node.js 22, which has WebSocket.
//
//   node scripts/compose-client.mjs 'http://localhost:7071/api/negotiate?userId=compose'

const negotiate = process.argv[2];

// The application may still be starting.
async function clientURL() {
  for (let tries = 50; ; tries--) {
    try {
      const res = await fetch(negotiate);
      if (!res.ok) throw new Error(`${res.status} ${await res.text()}`);
      return (await res.json()).url;
    } catch (err) {
      if (tries === 1) throw err;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

const ws = new WebSocket(await clientURL(), 'json.webpubsub.azure.v1');
ws.onmessage = ({ data }) => {
  const m = JSON.parse(data);
  if (m.type === 'system' && m.event === 'connected') console.log(`connected as ${m.userId}`);
  else console.log(`${m.from ?? m.type} ${m.group ?? ''}: ${JSON.stringify(m.data)}`);
};
ws.onclose = ({ code, reason }) => {
  console.error(`closed: ${code} ${reason}`);
  process.exitCode = 1;
};
