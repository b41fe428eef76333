package upstream_test

import (
	"maps"
	"testing"
	"time"

	"example.com/webpubsub/internal/upstream"
)

// The properties are those of the reference, and of Microsoft's emulator for the
// metadata.
func TestMessage(t *testing.T) {
	state, empty := "state", ""
	now := time.Date(2026, 11, 27, 12, 0, 0, 5, time.FixedZone("", 3600))
	common := func(more map[string]string) map[string]string {
		out := map[string]string{
			"cloudEvents:specversion": "1.0", "cloudEvents:awpsversion": "1.0", "cloudEvents:time": "2026-11-27T11:00:00Z",
			"cloudEvents:hub": "chat", "cloudEvents:connectionid": "c1", "cloudEvents:source": "/hubs/chat/client/c1",
		}
		maps.Copy(out, more)
		return out
	}
	for name, tt := range map[string]struct {
		event       upstream.Event
		id          string
		contentType string
		body        string
		properties  map[string]string
	}{
		"user": {
			upstream.Event{
				Kind: upstream.User, Name: "say", ID: 7, UserID: "用户", Subprotocol: "json.webpubsub.azure.v1", State: &state,
				ContentType: "text/plain; charset=utf-8", Body: []byte("hello"), Metadata: map[string]string{"Trace": "first", "trace": "last", "Empty": ""},
			},
			"c1/7", "text/plain", "hello",
			common(map[string]string{
				"cloudEvents:id": "7", "cloudEvents:type": "azure.webpubsub.user.say", "cloudEvents:eventname": "say",
				"cloudEvents:userid": "用户", "cloudEvents:subprotocol": "json.webpubsub.azure.v1", "cloudEvents:connectionstate": "state",
				"x-webpubsub-metadata-trace": "last", "x-webpubsub-metadata-empty": "",
			}),
		},
		"binary": {
			upstream.Event{Kind: upstream.User, Name: "b", ID: 1, ContentType: "application/octet-stream", Body: []byte{0, 255}},
			"c1/1", "application/octet-stream", "\x00\xff",
			common(map[string]string{"cloudEvents:id": "1", "cloudEvents:type": "azure.webpubsub.user.b", "cloudEvents:eventname": "b"}),
		},
		"connected": {
			upstream.Event{Kind: upstream.Connected, ID: 1, State: &empty, Metadata: map[string]string{"a": "b"}},
			"c1/1", "application/json", "{}",
			common(map[string]string{"cloudEvents:id": "1", "cloudEvents:type": "azure.webpubsub.sys.connected", "cloudEvents:eventname": "connected"}),
		},
		"MQTT": {
			upstream.Event{Kind: upstream.Disconnected, ID: 2, PhysicalConnectionID: "p", SessionID: "s"},
			"c1/2", "application/json", `{"reason":""}`,
			common(map[string]string{
				"cloudEvents:id": "2", "cloudEvents:type": "azure.webpubsub.sys.disconnected", "cloudEvents:eventname": "disconnected",
				"cloudEvents:source": "/hubs/chat/client/c1/p", "cloudEvents:physicalconnectionid": "p", "cloudEvents:sessionid": "s",
			}),
		},
	} {
		tt.event.Hub, tt.event.ConnectionID = "chat", "c1"
		m := tt.event.Message(now)
		if m.ID != tt.id || m.ConnectionID != "c1" || m.ContentType != tt.contentType || string(m.Body) != tt.body {
			t.Errorf("%s: %+v", name, m)
		}
		if !maps.Equal(m.Properties, tt.properties) {
			t.Errorf("%s: properties %v\nwant %v", name, m.Properties, tt.properties)
		}
	}
}
