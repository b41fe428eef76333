package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub/internal/webhook"
)

// The first vector is from the tests of the .NET library; the others were
// computed with openssl.
func TestSignature(t *testing.T) {
	for _, tt := range []struct{ key, connectionID, want string }{
		{"7aab239577fd4f24bc919802fb629f5f", "0f9c97a2f0bf4706afe87a14e0797b11", "sha256=7767effcb3946f3e1de039df4b986ef02c110b1469d02c0a06f41b3b727ab561"},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH", "conn1", "sha256=8de7281e588e23b0a30a7180ffa240257b8176e983004c240c9f3f7a7233c993"},
		{strings.Repeat("a", 44), "client/é", "sha256=c18891bfd62738aed5a1a0df4bb604547a2898c1f46b3048086627d3fea4bc66"},
	} {
		if got := webhook.Signature(tt.key, tt.connectionID); got != tt.want {
			t.Errorf("Signature(%q, %q) = %s, want %s", tt.key, tt.connectionID, got, tt.want)
		}
	}
}

func TestMQTTProperties(t *testing.T) {
	h := http.Header{"Mqtt-": {"no name"}, "Mqttx": {"x"}, "Mqtt-None": nil}
	h.Add("mqtt-b", "2")
	h.Add("mqtt-a-B", "1")
	h.Add("mqtt-b", "1")
	var got []string
	for name, value := range webhook.MQTTProperties(h) {
		got = append(got, name+"="+value)
	}
	if fmt.Sprint(got) != "[a-b=1 b=2 b=1]" {
		t.Error(got)
	}
	for range webhook.MQTTProperties(h) { // the first one is enough
		break
	}
}
