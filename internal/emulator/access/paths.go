package access

// The paths of the client endpoints. The name of a hub follows. Together with the
// origin they are the audience of client tokens.
const (
	ClientPath   = "/client/hubs/"
	MQTTPath     = "/clients/mqtt/hubs/"
	SocketIOPath = "/clients/socketio/hubs/"
)
