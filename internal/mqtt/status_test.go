package mqtt_test

import (
	"testing"

	"example.com/webpubsub/internal/mqtt"
)

// The table of web-pubsub-express and of the .NET library.
func TestHTTPStatus(t *testing.T) {
	for status, codes := range map[int][]mqtt.Code{
		400: {1, 2, 129, 131, 132, 133, 140, 144, 149, 153, 154, 155},
		401: {4, 5, 134, 135},
		403: {138},
		429: {151, 159},
		500: {0, 128, 130, 136, 137, 156, 157, 99, 255},
		503: {3},
	} {
		for _, c := range codes {
			if got := c.HTTPStatus(); got != status {
				t.Errorf("code %d: status %d, want %d", c, got, status)
			}
		}
	}
}

func TestCodeForStatus(t *testing.T) {
	for _, tt := range []struct {
		status   int
		v311, v5 mqtt.Code
	}{
		{400, 4, 0x86},
		{401, 5, 0x87},
		{403, 5, 0x87},
		{429, 3, 0x9f},
		{500, 3, 0x80},
		{503, 3, 0x88},
		{302, 3, 0x80},
	} {
		if got := mqtt.CodeForStatus(tt.status, mqtt.V311); got != tt.v311 || !got.Rejects(mqtt.V311) {
			t.Errorf("%d for MQTT 3.1.1: %d, want %d", tt.status, got, tt.v311)
		}
		if got := mqtt.CodeForStatus(tt.status, mqtt.V5); got != tt.v5 || !got.Rejects(mqtt.V5) {
			t.Errorf("%d for MQTT 5.0: 0x%02x, want 0x%02x", tt.status, byte(got), byte(tt.v5))
		}
		if got := mqtt.CodeForStatus(tt.status, 3); got != mqtt.V311UnacceptableVersion {
			t.Errorf("%d for another version: %d", tt.status, got)
		}
	}
}
