package upstream_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"example.com/webpubsub/internal/upstream"
)

func TestMQTTRejection(t *testing.T) {
	for body, want := range map[string]string{
		`{"mqtt":{"code":138,"reason":"banned by server","userProperties":[{"name":"n","value":"v"}]}}`: "{138 banned by server [{n v}]} true",
		`{"mqtt":{"code":5,"reason":null,"userProperties":null}}`:                                       "{5  []} true",
		`{"mqtt":{"reason":"no code"}}`:                                                                 "{0  []} false",
		`{"mqtt":null}`:                                                                                 "{0  []} false",
		`Unauthorized`:                                                                                  "{0  []} false",
		``:                                                                                              "{0  []} false",
	} {
		r, ok := upstream.ParseMQTTRejection([]byte(body))
		if got := fmt.Sprint(r, ok); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

// The bodies of the reference: nullable members are null, not missing.
func TestMQTTDisconnected(t *testing.T) {
	for _, tt := range []struct {
		event upstream.MQTTDisconnected
		want  string
	}{
		{upstream.MQTTDisconnected{}, `{"reason":null,"mqtt":{"initiatedByClient":false,"disconnectPacket":null}}`},
		{
			upstream.MQTTDisconnected{Reason: "bye", InitiatedByClient: true, Packet: &upstream.MQTTDisconnectPacket{
				Code: 4, UserProperties: []upstream.MQTTProperty{{Name: "name1", Value: "value1"}},
			}},
			`{"reason":"bye","mqtt":{"initiatedByClient":true,"disconnectPacket":{"code":4,"userProperties":[{"name":"name1","value":"value1"}]}}}`,
		},
		{
			upstream.MQTTDisconnected{Packet: &upstream.MQTTDisconnectPacket{Code: 152}},
			`{"reason":null,"mqtt":{"initiatedByClient":false,"disconnectPacket":{"code":152,"userProperties":null}}}`,
		},
	} {
		got, err := json.Marshal(tt.event)
		if err != nil || string(got) != tt.want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, tt.want)
		}
	}
}

func TestMQTTProperties(t *testing.T) {
	r := upstream.Response{Header: http.Header{"Mqtt-B": {"2", "1"}, "Mqtt-A": {"x"}, "Mqtt-": {"no name"}, "Content-Type": {"text/plain"}}}
	if got := fmt.Sprint(r.MQTTProperties()); got != "[{a x} {b 2} {b 1}]" {
		t.Errorf("properties %s", got)
	}
}
