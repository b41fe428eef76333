// Command devices is the server of thermostats that are connected by MQTT, and of a page
// that shows and controls them. The thermostats are other programs, see the folder device.
//
//	go run ./cmd/webpubsub dev -app ./examples/devices
//	go run ./examples/devices/device -name kitchen
package main

import (
	"embed"

	"example.com/webpubsub/examples/look"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/webapp"
)

//go:embed page
var page embed.FS

func main() { webapp.Main(New) }

// New returns the application.
func New(c webapp.Config) (*webapp.App, error) {
	keys, err := parseKeys(c.Setting(settingKeys))
	if err != nil {
		return nil, err
	}
	c.Authenticate = keys.authenticate
	c.Page = look.Page(page)
	a, err := webapp.New(c)
	if err != nil {
		return nil, err
	}
	s := server{a.Service}
	a.OnConnect(s.connect)
	a.Events.OnEvent("telemetry", handler.JSONEvent(s.telemetry))
	a.Events.OnEvent("command", handler.JSONEvent(s.command))
	return a, nil
}
