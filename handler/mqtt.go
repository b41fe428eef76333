package handler

import (
	"net/http"

	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/webhook"
)

// MQTTUserProperty is a user property of an MQTT 5.0 packet. A packet can contain
// several properties with the same name.
type MQTTUserProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// MQTTConnect is the MQTT part of a connect event.
type MQTTConnect struct {
	// ProtocolVersion is 4 for MQTT 3.1.1 and 5 for MQTT 5.0.
	ProtocolVersion int `json:"protocolVersion"`
	// CleanStart reports whether the client requests a new session.
	CleanStart bool `json:"cleanStart"`
	// Username and Password are those of the CONNECT packet, or empty.
	Username string `json:"username"`
	Password []byte `json:"password"`
	// UserProperties are those of the CONNECT packet.
	UserProperties []MQTTUserProperty `json:"userProperties"`
}

// MQTTConnectResponse is the MQTT part of the response to a connect event.
type MQTTConnectResponse struct {
	// UserProperties are sent in the CONNACK packet.
	UserProperties []MQTTUserProperty `json:"userProperties"`
}

// MQTTPublish is the MQTT part of a user event, which is a PUBLISH packet to the
// topic $webpubsub/server/events/{name}.
type MQTTPublish struct {
	// UserProperties are those of the packet. The service sends them as HTTP
	// headers, so their names are in lower case. The Azure Functions host responds
	// with 500 to an event with a value that is not ASCII, and the handler does not
	// receive it.
	UserProperties []MQTTUserProperty
}

// MQTTEventResponse is the MQTT part of the response to a user event.
type MQTTEventResponse struct {
	// ContentType is the content type of the reply, in printable ASCII. Default:
	// the content type for the data type of the message.
	ContentType string
	// UserProperties are sent with the reply. They are sent as HTTP headers: names
	// are HTTP tokens of at most 256 bytes, values are printable ASCII of at most
	// 1,024 bytes.
	UserProperties []MQTTUserProperty
}

// MQTTDisconnect is the MQTT part of a disconnected event.
type MQTTDisconnect struct {
	// InitiatedByClient reports whether the client sent the DISCONNECT packet.
	InitiatedByClient bool `json:"initiatedByClient"`
	// Packet is the DISCONNECT packet, or nil if there was none.
	Packet *MQTTDisconnectPacket `json:"disconnectPacket"`
}

// MQTTDisconnectPacket is the content of a DISCONNECT packet.
type MQTTDisconnectPacket struct {
	// Code is the reason code of MQTT 5.0. It is 0 for MQTT 3.1.1.
	Code int `json:"code"`
	// UserProperties are those of the packet.
	UserProperties []MQTTUserProperty `json:"userProperties"`
}

// MQTTCode is a return code of MQTT 3.1.1 or a reason code of MQTT 5.0 with which
// a connection is rejected. The two do not overlap, but a client understands only
// the codes of its own version, see [MQTTConnect].ProtocolVersion.
type MQTTCode int

// Return codes of MQTT 3.1.1, section 3.2.2.3.
const (
	MQTT3UnacceptableProtocolVersion = MQTTCode(mqtt.V311UnacceptableVersion)
	MQTT3IdentifierRejected          = MQTTCode(mqtt.V311IdentifierRejected)
	MQTT3ServerUnavailable           = MQTTCode(mqtt.V311ServerUnavailable)
	MQTT3BadUsernameOrPassword       = MQTTCode(mqtt.V311BadUserNameOrPassword)
	MQTT3NotAuthorized               = MQTTCode(mqtt.V311NotAuthorized)
)

// Reason codes of MQTT 5.0, section 3.2.2.2.
const (
	MQTT5UnspecifiedError            = MQTTCode(mqtt.UnspecifiedError)
	MQTT5MalformedPacket             = MQTTCode(mqtt.MalformedPacket)
	MQTT5ProtocolError               = MQTTCode(mqtt.ProtocolError)
	MQTT5ImplementationSpecificError = MQTTCode(mqtt.ImplementationError)
	MQTT5UnsupportedProtocolVersion  = MQTTCode(mqtt.UnsupportedProtocolVersion)
	MQTT5ClientIdentifierNotValid    = MQTTCode(mqtt.ClientIdentifierNotValid)
	MQTT5BadUserNameOrPassword       = MQTTCode(mqtt.BadUserNameOrPassword)
	MQTT5NotAuthorized               = MQTTCode(mqtt.NotAuthorized)
	MQTT5ServerUnavailable           = MQTTCode(mqtt.ServerUnavailable)
	MQTT5ServerBusy                  = MQTTCode(mqtt.ServerBusy)
	MQTT5Banned                      = MQTTCode(mqtt.Banned)
	MQTT5BadAuthenticationMethod     = MQTTCode(mqtt.BadAuthenticationMethod)
	MQTT5TopicNameInvalid            = MQTTCode(mqtt.TopicNameInvalid)
	MQTT5PacketTooLarge              = MQTTCode(mqtt.PacketTooLarge)
	MQTT5QuotaExceeded               = MQTTCode(mqtt.QuotaExceeded)
	MQTT5PayloadFormatInvalid        = MQTTCode(mqtt.PayloadFormatInvalid)
	MQTT5RetainNotSupported          = MQTTCode(mqtt.RetainNotSupported)
	MQTT5QoSNotSupported             = MQTTCode(mqtt.QoSNotSupported)
	MQTT5UseAnotherServer            = MQTTCode(mqtt.UseAnotherServer)
	MQTT5ServerMoved                 = MQTTCode(mqtt.ServerMoved)
	MQTT5ConnectionRateExceeded      = MQTTCode(mqtt.ConnectionRateExceeded)
)

const mqttSubprotocol = "mqtt"

// status returns the HTTP status for the code.
func (c MQTTCode) status() int {
	if c < 0 || c > 0xff {
		return http.StatusInternalServerError
	}
	return mqtt.Code(c).HTTPStatus()
}

// mqttCodeFor returns the code for an HTTP status in a protocol version.
func mqttCodeFor(status, protocolVersion int) MQTTCode {
	if protocolVersion != int(mqtt.V311) && protocolVersion != int(mqtt.V5) {
		return MQTT3UnacceptableProtocolVersion
	}
	return MQTTCode(mqtt.CodeForStatus(status, mqtt.Version(protocolVersion)))
}

// mqttProperties returns the user properties in the header of an event.
func mqttProperties(h http.Header) []MQTTUserProperty {
	var out []MQTTUserProperty
	for name, value := range webhook.MQTTProperties(h) {
		out = append(out, MQTTUserProperty{name, value})
	}
	return out
}
