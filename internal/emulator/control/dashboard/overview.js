import { h, panel, empty, copyable, select, field } from './dom.js';
import { state, on } from './state.js';

const snippets = {
  'JavaScript': (c, hub) => `import { WebPubSubServiceClient } from "@azure/web-pubsub";
import { WebPubSubClient } from "@azure/web-pubsub-client";

const service = new WebPubSubServiceClient(
  "${c}", "${hub}");
const client = new WebPubSubClient({
  getClientAccessUrl: async () => (await service.getClientAccessToken({ userId: "alice" })).url,
});
client.on("group-message", (e) => console.log(e.message.data));
await client.start();`,
  'Python': (c, hub) => `from azure.messaging.webpubsubservice import WebPubSubServiceClient

service = WebPubSubServiceClient.from_connection_string(
    "${c}", hub="${hub}")
service.send_to_all("hello", content_type="text/plain")
print(service.get_client_access_token(user_id="alice")["url"])`,
  'Go': (c, hub) => `chat, err := service.NewClientFromConnectionString(
	"${c}", "${hub}", nil)
if err != nil {
	log.Fatal(err)
}
err = chat.SendToAll(ctx, webpubsub.Text("hello"), nil)`,
  'C#': (c, hub) => `var service = new WebPubSubServiceClient(
    "${c}", "${hub}");
await service.SendToAllAsync("hello");
Uri url = service.GetClientAccessUri(userId: "alice");`,
  'Java': (c, hub) => `WebPubSubServiceClient service = new WebPubSubServiceClientBuilder()
    .connectionString("${c}")
    .hub("${hub}")
    .buildClient();
service.sendToAll("hello", WebPubSubContentType.TEXT_PLAIN);`,
  'Command line': (c, hub) => `export WebPubSubConnectionString='${c}'
webpubsub listen -hub ${hub} -user alice -group news
webpubsub send -hub ${hub} -group news hello`,
};

const stateText = { unknown: 'nothing delivered yet', ok: 'accepts events', rejected: 'rejected the last event', failing: 'the last event failed' };

function hubRow(hub) {
  const handlers = hub.eventHandlers ?? [];
  const hops = [
    h('span', { className: 'hop' }, h('strong', {}, `${hub.connections} client${hub.connections === 1 ? '' : 's'}`),
      h('span', { className: 'small soft' }, `${hub.users} users, ${hub.groups} groups${hub.interrupted ? `, ${hub.interrupted} interrupted` : ''}`)),
    h('span', { className: 'hop' }, h('strong', {}, hub.name),
      h('span', { className: 'small soft' }, [hub.inUse ? 'in use' : 'not used yet', hub.anonymous ? 'anonymous clients accepted' : ''].filter(Boolean).join(', '))),
  ];
  if (handlers.length === 0) {
    hops.push(h('span', { className: 'hop' }, h('strong', { className: 'soft' }, 'no event handler'),
      h('span', { className: 'small soft' }, 'every client with a valid token can connect')));
  }
  for (const e of handlers) {
    hops.push(h('span', { className: 'hop' },
      h('strong', {}, h('span', { className: 'dot ' + e.state }), ' ', e.urlTemplate),
      h('span', { className: 'small soft' }, `${stateText[e.state] ?? e.state}${e.last?.status ? `: ${e.last.name} → ${e.last.status}` : ''}`),
      e.urlTemplate.startsWith('tunnel:') ? h('span', { className: hub.tunnels ? 'small soft' : 'small bad' },
        hub.tunnels ? `tunnels open: ${hub.tunnels}` : 'no tunnel is open: start webpubsub tunnel') : null,
      e.last?.reason && e.state !== 'ok' ? h('span', { className: 'small bad' }, e.last.reason) : null,
      h('span', { className: 'small soft' }, `user events ${e.userEventPattern || 'none'}; system events ${(e.systemEvents ?? []).join(', ') || 'none'}`)));
  }
  for (const l of hub.eventListeners ?? []) {
    hops.push(h('span', { className: 'hop' },
      h('strong', {}, `copies to ${l.endpoint}`),
      h('span', { className: 'small soft' }, `${l.sent} sent, ${l.dropped} dropped, ${l.waiting} waiting`),
      l.lastError ? h('span', { className: 'small bad' }, l.lastError) : null,
      h('span', { className: 'small soft' }, `user events ${l.userEventPattern || 'none'}; system events ${(l.systemEvents ?? []).join(', ') || 'none'}`)));
  }
  return h('ol', { className: 'path', 'aria-label': `Hub ${hub.name}` }, hops.map((hop, i) => h('li', {}, i > 0 ? h('span', { className: 'arrow', 'aria-hidden': 'true' }, '→') : null, hop)));
}

export default function overview(signal) {
  const numbers = h('div', { className: 'numbers' });
  const hubs = h('div', { className: 'stack' });
  const connect = h('div', { className: 'stack' });
  const links = h('div', { className: 'row' });
  let language = 'JavaScript';

  function show() {
    const { info } = state;
    if (!info) {
      hubs.replaceChildren(empty('The emulator does not respond yet.'));
      return;
    }
    const total = (name) => state.hubs.reduce((n, hub) => n + hub[name], 0);
    numbers.replaceChildren(...[
      ['connections', total('connections')], ['users', total('users')], ['groups', total('groups')],
      ['journal entries', info.journal?.entries ?? 0], ['running since', new Date(info.startedAt).toLocaleTimeString([], { hour12: false })],
      ...(info.tier ? [[`of ${info.tier.maxConnections} connections, tier ${info.tier.name}`, info.tier.connections]] : []),
      ...(info.tier?.maxMessages ? [[`of ${info.tier.maxMessages} messages today`, info.tier.messages]] : []),
    ].map(([name, n]) => h('div', {}, h('strong', {}, String(n)), h('span', { className: 'small soft' }, name))));
    hubs.replaceChildren(...(state.hubs.length
      ? state.hubs.map((hub) => hubRow(hub))
      : [empty('No hub is in use yet. Any valid name works: the first client or call creates it.')]));
    links.replaceChildren(...(info.links ?? []).map((l) => h('a', { className: 'button', href: l.url, target: '_blank', rel: 'noopener' }, l.title ?? l.name ?? l.url)));
  }

  function showConnect() {
    const c = state.info?.connectionString;
    if (!c) {
      connect.replaceChildren(h('p', { className: 'soft' }, 'The token of this page is read-only, so the connection string is not shown.'));
      return;
    }
    const pick = select(Object.keys(snippets), language);
    pick.addEventListener('change', () => { language = pick.value; showConnect(); pick.focus(); });
    connect.replaceChildren(
      h('div', { className: 'stack' }, h('h3', {}, 'Connection string'), copyable(c)),
      h('div', { className: 'row' }, field('Language', pick)),
      copyable(snippets[language](c, state.hub), true),
      h('p', { className: 'small soft' }, 'Or open a test client in ', h('a', { href: '#/clients' }, 'Clients'), ' and call the REST API in ', h('a', { href: '#/rest' }, 'REST'), '.'),
    );
  }

  on('info', show, signal);
  on('hub', showConnect, signal);
  let known = state.info?.connectionString;
  on('info', () => { if (state.info?.connectionString !== known) { known = state.info?.connectionString; showConnect(); } }, signal);
  show();
  showConnect();
  return [
    panel('At a glance', links, numbers),
    panel('Hubs and event handlers', h('a', { href: '#/traffic', className: 'small' }, 'Show their traffic'), hubs),
    panel('How to connect', null, connect),
  ];
}
