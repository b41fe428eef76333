package interop_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/testtool"
)

// TestMQTT runs the MQTT clients that Microsoft's own samples use: MQTT.js and
// Eclipse Paho, beside the official service packages.
func TestMQTT(t *testing.T) {
	hubs := map[string]emulator.Hub{"anonymous": {AllowAnonymous: true}}
	t.Run("Node", func(t *testing.T) {
		node := testtool.Need(t, "node")
		testtool.NPM(t, "node") // its helpers
		testtool.NPM(t, "mqtt")
		b := start(t, hubs)
		b.env = append(b.env, "WEBPUBSUB_MQTT_URL="+strings.TrimSuffix(b.emulator.MQTTURL("x"), "x"))
		b.run(t, "mqtt", node, "--test", "--test-force-exit", "--test-reporter=spec", "mqtt.test.js")
	})
	t.Run("Python", func(t *testing.T) {
		python := testtool.Python(t, "mqtt")
		b := start(t, hubs)
		b.run(t, "mqtt", python, "-W", "ignore::ResourceWarning", "-m", "unittest", "-v", "test_mqtt")
	})
}
