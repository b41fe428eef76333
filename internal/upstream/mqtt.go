package upstream

import (
	"encoding/json"

	"example.com/webpubsub/internal/webhook"
)

// MQTTRejection is why a handler rejected an MQTT client.
type MQTTRejection struct {
	// Code is a return code of MQTT 3.1.1 or a reason code of MQTT 5.0 as the
	// handler gave it. Whether it is a legal one is for the caller to check.
	Code int
	// Reason and UserProperties go to MQTT 5.0 clients. Reason may be empty.
	Reason         string
	UserProperties []MQTTProperty
}

// ParseMQTTRejection reads the body of a response to connect that is not 2xx
// (Microsoft Learn, CloudEvents extension for MQTT, "Error Response Format").
// It returns false if the body has no mqtt.code, for example because a gateway in
// front of the handler responded; see mqtt.CodeForStatus.
func ParseMQTTRejection(body []byte) (MQTTRejection, bool) {
	var raw struct {
		MQTT *struct {
			Code           *int           `json:"code"`
			Reason         *string        `json:"reason"`
			UserProperties []MQTTProperty `json:"userProperties"`
		} `json:"mqtt"`
	}
	if json.Unmarshal(body, &raw) != nil || raw.MQTT == nil || raw.MQTT.Code == nil {
		return MQTTRejection{}, false
	}
	r := MQTTRejection{Code: *raw.MQTT.Code, UserProperties: raw.MQTT.UserProperties}
	if raw.MQTT.Reason != nil {
		r.Reason = *raw.MQTT.Reason
	}
	return r, true
}

// MQTTDisconnected is the body of the disconnected event of an MQTT client.
// Marshal it with encoding/json.
type MQTTDisconnected struct {
	// Reason is why the session ended. An empty one is sent as null.
	Reason string
	// InitiatedByClient reports whether the client sent Packet.
	InitiatedByClient bool
	// Packet is the last DISCONNECT packet of either side, or nil.
	Packet *MQTTDisconnectPacket
}

// MQTTDisconnectPacket describes a DISCONNECT packet.
type MQTTDisconnectPacket struct {
	// Code is the reason code; 0 with MQTT 3.1.1.
	Code int `json:"code"`
	// UserProperties are those that a client sent; nil for the service's packet.
	UserProperties []MQTTProperty `json:"userProperties"`
}

// MarshalJSON encodes the body.
func (d MQTTDisconnected) MarshalJSON() ([]byte, error) {
	type part struct {
		InitiatedByClient bool                  `json:"initiatedByClient"`
		Packet            *MQTTDisconnectPacket `json:"disconnectPacket"`
	}
	body := struct {
		Reason *string `json:"reason"`
		MQTT   part    `json:"mqtt"`
	}{MQTT: part{d.InitiatedByClient, d.Packet}}
	if d.Reason != "" {
		body.Reason = &d.Reason
	}
	return json.Marshal(body)
}

// MQTTProperties returns the user properties in the header of the response, see
// [webhook.MQTTProperties].
func (r Response) MQTTProperties() []MQTTProperty {
	var out []MQTTProperty
	for name, value := range webhook.MQTTProperties(r.Header) {
		out = append(out, MQTTProperty{name, value})
	}
	return out
}
