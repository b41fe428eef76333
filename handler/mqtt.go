package handler

import (
	"net/http"
	"strings"
)

// MQTTUserProperty is one user property of an MQTT 5 packet. A name may occur
// several times.
type MQTTUserProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// MQTTConnect is the MQTT part of a connect event.
type MQTTConnect struct {
	// ProtocolVersion is 4 for MQTT 3.1.1 and 5 for MQTT 5.
	ProtocolVersion int `json:"protocolVersion"`
	// CleanStart is the client's wish to begin a new session.
	CleanStart bool `json:"cleanStart"`
	// Username and Password are those of the CONNECT packet; empty without.
	Username string `json:"username"`
	Password []byte `json:"password"`
	// UserProperties are those of the CONNECT packet.
	UserProperties []MQTTUserProperty `json:"userProperties"`
}

// MQTTConnectReply is the MQTT part of the answer to a connect event.
type MQTTConnectReply struct {
	// UserProperties go into the CONNACK packet.
	UserProperties []MQTTUserProperty `json:"userProperties"`
}

// MQTTPublish is the MQTT part of a user event: a PUBLISH packet to the topic
// $webpubsub/server/events/{name}, and what its answer carries.
type MQTTPublish struct {
	// UserProperties are those of the packet. They travel as HTTP headers, so
	// their names arrive in lower case.
	UserProperties []MQTTUserProperty
	// ReplyContentType, if set, is the content type of the answer instead of the
	// one of the message's data type.
	ReplyContentType string
	// ReplyProperties become user properties of the answer. Names are HTTP
	// tokens, values printable ASCII.
	ReplyProperties []MQTTUserProperty
}

// MQTTDisconnect is the MQTT part of a disconnected event.
type MQTTDisconnect struct {
	// InitiatedByClient says whether the client sent the DISCONNECT packet.
	InitiatedByClient bool `json:"initiatedByClient"`
	// Packet is the DISCONNECT packet, nil when there was none.
	Packet *MQTTDisconnectPacket `json:"disconnectPacket"`
}

// MQTTDisconnectPacket is what a DISCONNECT packet said.
type MQTTDisconnectPacket struct {
	// Code is the reason code of MQTT 5; always 0 with MQTT 3.1.1.
	Code int `json:"code"`
	// UserProperties are those of the packet.
	UserProperties []MQTTUserProperty `json:"userProperties"`
}

// MQTTCode is a return code of MQTT 3.1.1 or a reason code of MQTT 5 by which a
// connection is refused. The two do not overlap, but a client understands only
// those of its own version: look at [MQTTConnect.ProtocolVersion].
type MQTTCode int

// Return codes of MQTT 3.1.1, section 3.2.2.3.
const (
	MQTT3UnacceptableProtocolVersion MQTTCode = 1
	MQTT3IdentifierRejected          MQTTCode = 2
	MQTT3ServerUnavailable           MQTTCode = 3
	MQTT3BadUsernameOrPassword       MQTTCode = 4
	MQTT3NotAuthorized               MQTTCode = 5
)

// Reason codes of MQTT 5, section 3.2.2.2.
const (
	MQTT5UnspecifiedError            MQTTCode = 128
	MQTT5MalformedPacket             MQTTCode = 129
	MQTT5ProtocolError               MQTTCode = 130
	MQTT5ImplementationSpecificError MQTTCode = 131
	MQTT5UnsupportedProtocolVersion  MQTTCode = 132
	MQTT5ClientIdentifierNotValid    MQTTCode = 133
	MQTT5BadUserNameOrPassword       MQTTCode = 134
	MQTT5NotAuthorized               MQTTCode = 135
	MQTT5ServerUnavailable           MQTTCode = 136
	MQTT5ServerBusy                  MQTTCode = 137
	MQTT5Banned                      MQTTCode = 138
	MQTT5BadAuthenticationMethod     MQTTCode = 140
	MQTT5TopicNameInvalid            MQTTCode = 144
	MQTT5PacketTooLarge              MQTTCode = 149
	MQTT5QuotaExceeded               MQTTCode = 151
	MQTT5PayloadFormatInvalid        MQTTCode = 153
	MQTT5RetainNotSupported          MQTTCode = 154
	MQTT5QoSNotSupported             MQTTCode = 155
	MQTT5UseAnotherServer            MQTTCode = 156
	MQTT5ServerMoved                 MQTTCode = 157
	MQTT5ConnectionRateExceeded      MQTTCode = 159
)

const (
	mqttVersion3     = 4
	mqttVersion5     = 5
	mqttSubprotocol  = "mqtt"
	headerPrefixMQTT = "Mqtt-"
)

// Status returns the HTTP status that the service expects with the code, as
// Microsoft's own libraries map it; 500 for a code that they do not know.
func (c MQTTCode) Status() int {
	switch c {
	case MQTT3BadUsernameOrPassword, MQTT3NotAuthorized,
		MQTT5BadUserNameOrPassword, MQTT5NotAuthorized:
		return http.StatusUnauthorized
	case MQTT5Banned:
		return http.StatusForbidden
	case MQTT5QuotaExceeded, MQTT5ConnectionRateExceeded:
		return http.StatusTooManyRequests
	case MQTT3ServerUnavailable:
		return http.StatusServiceUnavailable
	case MQTT3UnacceptableProtocolVersion, MQTT3IdentifierRejected,
		MQTT5MalformedPacket, MQTT5ImplementationSpecificError, MQTT5UnsupportedProtocolVersion,
		MQTT5ClientIdentifierNotValid, MQTT5BadAuthenticationMethod, MQTT5TopicNameInvalid,
		MQTT5PacketTooLarge, MQTT5PayloadFormatInvalid, MQTT5RetainNotSupported, MQTT5QoSNotSupported:
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

// MQTTCodeFor returns the code that stands for an HTTP status in a protocol
// version (4 or 5). 400, 401 and 500 are as web-pubsub-express maps them; 403,
// 429 and 503 get the code that means the same.
func MQTTCodeFor(status, protocolVersion int) MQTTCode {
	switch protocolVersion {
	case mqttVersion3:
		switch status {
		case http.StatusBadRequest:
			return MQTT3BadUsernameOrPassword
		case http.StatusUnauthorized, http.StatusForbidden:
			return MQTT3NotAuthorized
		default:
			return MQTT3ServerUnavailable
		}
	case mqttVersion5:
		switch status {
		case http.StatusBadRequest:
			return MQTT5BadUserNameOrPassword
		case http.StatusUnauthorized, http.StatusForbidden:
			return MQTT5NotAuthorized
		case http.StatusTooManyRequests:
			return MQTT5ConnectionRateExceeded
		case http.StatusServiceUnavailable:
			return MQTT5ServerUnavailable
		default:
			return MQTT5UnspecifiedError
		}
	default:
		return MQTT3UnacceptableProtocolVersion
	}
}

// mqttProperties collects the user properties that came as mqtt- headers.
func mqttProperties(h http.Header) []MQTTUserProperty {
	var out []MQTTUserProperty
	for key, values := range h {
		name, ok := strings.CutPrefix(key, headerPrefixMQTT)
		if !ok || name == "" {
			continue
		}
		for _, v := range values {
			out = append(out, MQTTUserProperty{Name: strings.ToLower(name), Value: v})
		}
	}
	sortProperties(out)
	return out
}
