package interop_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testtool"
)

// runMQTT runs the MQTT clients that Microsoft's own samples use: MQTT.js and
// Eclipse Paho, beside the official service packages.
func runMQTT(t *testing.T, p *proof) {
	hubs := map[string]emulator.HubSettings{"anonymous": {AllowAnonymous: true}}
	node := testtool.Need(t, "node")
	testtool.NPM(t, "node") // its helpers
	testtool.NPM(t, "mqtt")
	python := testtool.Python(t, "mqtt")
	t.Run("Node", func(t *testing.T) {
		b := start(t, hubs)
		b.env = append(b.env, "WEBPUBSUB_MQTT_URL="+strings.TrimSuffix(b.emulator.MQTTURL("x"), "x"))
		b.nodeTest(t, p, mqttJS, node, "mqtt", "mqtt.test.js")
	})
	t.Run("Python", func(t *testing.T) {
		b := start(t, hubs)
		b.pythonTest(t, p, mqttPaho, python, "mqtt", "test_mqtt")
	})
}
