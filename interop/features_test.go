package interop_test

// features lists what docs/compatibility.md says is supported, in its order. A test of an
// official package names the features that it proves at the start of its name,
// before a colon: "send-all, filter: chooses the receivers".
//
// Every package must prove every feature of its table, but for those that it
// has no call for.
var features = []table{
	{
		title:    "Service operations",
		packages: []string{jsService, pyService, javaService},
		rows: []feature{
			{id: "send-all", text: "send to all: text, JSON, binary"},
			{id: "send-group", text: "send to a group"},
			{id: "send-user", text: "send to a user"},
			{id: "send-connection", text: "send to a connection"},
			{id: "filter", text: "filters, and the error for an invalid one"},
			{id: "excluded", text: "excluded connections"},
			{id: "expiry", text: "time to live of messages"},
			{id: "exists", text: "existence of a connection, user, group"},
			{id: "group-members", text: "add and remove connections and users"},
			{id: "group-bulk", text: "add and remove by filter, several groups", lack: []string{pyService}},
			{id: "group-list", text: "list a group's connections in pages", lack: []string{javaService}},
			{id: "permissions", text: "grant, revoke, check permissions"},
			{id: "close", text: "close with a reason: connection, user, group, hub"},
			{id: "token", text: "client access tokens"},
			{id: "token-protocols", text: "tokens for MQTT and Socket.IO clients"},
			{id: "key", text: "access key; a wrong one is rejected"},
			{id: "entra", text: "token credential, over https"},
			{id: "errors", text: "errors: not found, codes and messages"},
			{id: "reverse-proxy", text: "reverse proxy endpoint"},
		},
	},
	{
		title:    "Client features",
		packages: []string{jsClient, pyClient},
		rows: []feature{
			{id: "start-stop", text: "start and stop"},
			{id: "groups", text: "join and leave groups"},
			{id: "publish", text: "publish to a group: text, JSON, binary"},
			{id: "no-echo", text: "publish without echo"},
			{id: "roles", text: "without the role: Forbidden"},
			{id: "server-messages", text: "messages from the service client"},
			{id: "events", text: "events, with the handler's reply"},
			{id: "event-errors", text: "a failed event: InternalServerError"},
			{id: "close-reason", text: "the reason of a close"},
			{id: "recovery", text: "recovery after a lost network, without lost messages"},
			{id: "reconnect", text: "reconnection, with groups rejoined"},
			{id: "duplicate", text: "a repeated ack ID has no effect"},
			{id: "invoke", text: "invoke an event", lack: []string{pyClient}},
			{id: "streams", text: "streams to a group", lack: []string{pyClient}},
			{id: "tls", text: "over wss"},
		},
	},
	{
		title:    "MQTT clients, 3.1.1 and 5.0",
		packages: []string{mqttJS, mqttPaho},
		rows: []feature{
			{id: "mqtt-publish", text: "subscribe and publish, every QoS"},
			{id: "mqtt-service", text: "the service client sends and closes"},
			{id: "mqtt-session", text: "sessions that survive a lost network"},
			{id: "mqtt-will", text: "wills"},
			{id: "mqtt-events", text: "events, with the handler's reply"},
			{id: "mqtt-refuse", text: "without the role: rejected"},
			{id: "mqtt-properties", text: "properties of MQTT 5.0"},
		},
	},
	{
		title:    "Tunnels of the emulator",
		packages: []string{jsSocketIO},
		rows: []feature{
			{id: "tunnel-events", text: "events through a tunnel, with the response"},
			{id: "tunnel-rest", text: "REST calls through a tunnel"},
		},
	},
	{
		title:    "Event handlers of the emulator",
		packages: []string{jsExpress, goHandler},
		rows: []feature{
			{id: "upstream-connect", text: "connect: user, groups, roles, rejection"},
			{id: "upstream-user", text: "user events of every data type"},
			{id: "upstream-fail", text: "a rejected user event"},
			{id: "upstream-state", text: "connection state"},
			{id: "upstream-simple", text: "simple WebSocket clients"},
			{id: "upstream-notify", text: "connected, disconnected, group joined, group left"},
			{id: "upstream-same", text: "the same requests, the same responses, with listed exceptions"},
		},
	},
}

// The packages, as their registries name them.
const (
	jsService   = "@azure/web-pubsub"
	jsClient    = "@azure/web-pubsub-client"
	jsExpress   = "@azure/web-pubsub-express"
	jsSocketIO  = "@azure/web-pubsub-socket.io"
	pyService   = "azure-messaging-webpubsubservice"
	pyClient    = "azure-messaging-webpubsubclient"
	javaService = "azure-messaging-webpubsub"
	mqttJS      = "mqtt"
	mqttPaho    = "paho-mqtt"
	goHandler   = "handler"
)

type table struct {
	title    string
	packages []string
	rows     []feature
}

type feature struct {
	id, text string
	lack     []string // the packages that have no call for it
}
