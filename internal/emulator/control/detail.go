package control

import (
	"bytes"
	"encoding/json"
	"slices"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/wire"
)

// wholeEntry is an entry with what was recorded about it.
type wholeEntry struct {
	entry
	Content *content `json:"content,omitempty"`
}

type content struct {
	Frame     *frame            `json:"frame,omitempty"`
	Request   *journal.Exchange `json:"request,omitempty"`
	Upstream  *journal.Exchange `json:"upstream,omitempty"`
	Message   *journal.Payload  `json:"message,omitempty"`
	Delivered []delivered       `json:"delivered,omitempty"`
}

type frame struct {
	journal.Frame
	Decoded json.RawMessage `json:"decoded,omitempty"`
}

type delivered struct {
	Protocol string          `json:"protocol"`
	Raw      journal.Payload `json:"raw"`
	Decoded  json.RawMessage `json:"decoded,omitempty"`
}

// whole returns an entry with its content, if it is kept.
func (a *API) whole(id uint64) (wholeEntry, bool) {
	e, f, request, ok := a.Journal.Get(id)
	if !ok {
		return wholeEntry{}, false
	}
	out := wholeEntry{entry: showEntry(e)}
	if out.Detail != journal.DetailKept {
		return out, true
	}
	if d := e.Detail; d != nil && d.Imported != nil {
		out.Content = new(content)
		return out, json.Unmarshal(d.Imported, out.Content) == nil // it was checked
	}
	c := &content{Request: request}
	if f != nil {
		c.Frame = &frame{*f, decodeFrame(*f)}
	}
	if d := e.Detail; d != nil {
		c.Upstream, c.Message = d.Upstream, d.Message
		c.Delivered = deliveredFrames(d)
	}
	out.Content = c
	return out, true
}

// protocols are the subprotocols by their names in the API.
var protocols = map[string]wire.Protocol{
	"json": wire.JSON, "jsonReliable": wire.ReliableJSON, "protobuf": wire.Protobuf, "protobufReliable": wire.ReliableProtobuf,
}

// decodeFrame returns a binary frame as JSON: a protobuf message as it would be in
// the JSON protocol, and a packet of MQTT with its fields. It returns nil if the
// frame is text, broken or truncated.
func decodeFrame(f journal.Frame) json.RawMessage {
	if f.Raw.Truncated() {
		return nil
	}
	if f.Protocol == "mqtt" {
		return decodePacket(f)
	}
	p := protocols[f.Protocol]
	if !p.Binary() {
		return nil
	}
	u, err := p.DecodeUpstream(f.Raw.Data)
	if err != nil {
		return nil
	}
	out, err := wire.JSON.AppendUpstream(nil, u)
	if err != nil {
		return nil
	}
	return out
}

// deliveredFrames returns a message as it was encoded for the protocols of its
// receivers. Sequence ids are those of each connection, and left out.
func deliveredFrames(d *journal.Detail) []delivered {
	var out []delivered
	for _, p := range d.Protocols {
		e, err := p.EncodeData(*d.Data)
		if err != nil {
			continue
		}
		raw := journal.NewPayload(e.Append(nil, 0), "")
		x := delivered{Protocol: journal.ProtocolName(p.Name()), Raw: raw}
		if p.Binary() {
			if e, err := wire.JSON.EncodeData(*d.Data); err == nil {
				x.Decoded = e.Append(nil, 0)
			}
		}
		out = append(out, x)
	}
	return out
}

func decodePacket(f journal.Frame) json.RawMessage {
	r := mqtt.NewReader(bytes.NewReader(f.Raw.Data), len(f.Raw.Data))
	if f.MQTTVersion == "5.0" {
		r.Version = mqtt.V5
	}
	p, err := r.Next()
	if err != nil {
		return nil
	}
	out, err := json.Marshal(showPacket(p))
	if err != nil {
		return nil
	}
	return out
}

// showPacket returns the fields of a packet that clients send.
func showPacket(p mqtt.Packet) map[string]any {
	out := map[string]any{"type": p.Type().String()}
	set := func(name string, v any) { out[name] = v }
	properties := func(name string, ps mqtt.Properties) {
		if len(ps) > 0 {
			set(name, showProperties(ps))
		}
	}
	switch p := p.(type) {
	case *mqtt.Connect:
		set("version", map[mqtt.Version]string{mqtt.V311: "3.1.1", mqtt.V5: "5.0"}[p.Version])
		set("clientId", p.ClientID)
		set("cleanStart", p.CleanStart)
		set("keepAlive", p.KeepAlive)
		if p.Username != nil {
			set("username", *p.Username)
		}
		if w := p.Will; w != nil {
			will := map[string]any{"topic": w.Topic, "qos": w.QoS, "retain": w.Retain, "payload": journal.NewPayload(w.Payload, "")}
			if len(w.Properties) > 0 {
				will["properties"] = showProperties(w.Properties)
			}
			set("will", will)
		}
		properties("properties", p.Properties)
	case *mqtt.Publish:
		set("topic", p.Topic)
		set("qos", p.QoS)
		set("dup", p.Dup)
		set("retain", p.Retain)
		if p.QoS > 0 {
			set("packetId", p.PacketID)
		}
		set("payload", journal.NewPayload(p.Payload, ""))
		properties("properties", p.Properties)
	case *mqtt.Subscribe:
		set("packetId", p.PacketID)
		var filters []map[string]any
		for _, f := range p.Filters {
			filters = append(filters, map[string]any{"topic": f.Topic, "qos": f.QoS, "noLocal": f.NoLocal, "retainAsPublished": f.RetainAsPublished, "retainHandling": f.RetainHandling})
		}
		set("filters", filters)
		properties("properties", p.Properties)
	case *mqtt.Unsubscribe:
		set("packetId", p.PacketID)
		set("filters", p.Filters)
		properties("properties", p.Properties)
	case *mqtt.Ack:
		set("packetId", p.PacketID)
		set("code", int(p.Code))
		properties("properties", p.Properties)
	case *mqtt.Disconnect:
		set("code", int(p.Code))
		properties("properties", p.Properties)
	}
	return out
}

// propertyNames are the properties that clients send.
var propertyNames = map[mqtt.PropertyID]string{
	mqtt.PayloadFormat: "payloadFormatIndicator", mqtt.MessageExpiry: "messageExpiryInterval", mqtt.ContentType: "contentType",
	mqtt.ResponseTopic: "responseTopic", mqtt.CorrelationData: "correlationData", mqtt.SubscriptionID: "subscriptionIdentifier",
	mqtt.SessionExpiry: "sessionExpiryInterval", mqtt.RequestProblem: "requestProblemInformation", mqtt.WillDelay: "willDelayInterval",
	mqtt.RequestResponse: "requestResponseInformation", mqtt.ReasonString: "reasonString", mqtt.ReceiveMaximum: "receiveMaximum",
	mqtt.TopicAliasMaximum: "topicAliasMaximum", mqtt.TopicAlias: "topicAlias", mqtt.UserProperty: "userProperty",
	mqtt.MaximumPacketSize: "maximumPacketSize", mqtt.AuthenticationMethod: "authenticationMethod", mqtt.AuthenticationData: "authenticationData",
}

var textProperties = []mqtt.PropertyID{mqtt.ContentType, mqtt.ResponseTopic, mqtt.ReasonString, mqtt.AuthenticationMethod}

func showProperties(ps mqtt.Properties) []map[string]any {
	var out []map[string]any
	for _, p := range ps {
		name, ok := propertyNames[p.ID]
		if !ok {
			continue
		}
		one := map[string]any{"name": name}
		switch {
		case p.ID == mqtt.UserProperty:
			one["key"], one["value"] = p.Data, p.Value
		case p.ID == mqtt.CorrelationData:
			one["value"] = journal.NewPayload([]byte(p.Data), "")
		case p.ID == mqtt.AuthenticationData:
			one["value"] = journal.Removed
		case slices.Contains(textProperties, p.ID):
			one["value"] = p.Data
		default:
			one["value"] = p.Int
		}
		out = append(out, one)
	}
	return out
}
