package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/service"
)

// Groups. To MQTT clients they are topics: a device subscribes to the topic of its
// commands, and publishes to the topic status.
const (
	groupTelemetry = "telemetry" // pages, from the server
	groupStatus    = "status"    // pages, from the devices: their last will is a message to it
	groupCommands  = "commands." // with the name of a device; "/" cannot be in REST calls
)

// devicePrefix begins the user IDs of devices.
const devicePrefix = "device-"

// Temperatures that a thermostat can measure and be set to, in degrees Celsius.
const (
	coldest, hottest = -40.0, 125.0
	minTarget        = 5.0
	maxTarget        = 30.0
)

var validName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

type (
	// measurement is the event telemetry of a device.
	measurement struct {
		Temperature float64 `json:"temperature"`
		Target      float64 `json:"target"`
	}
	// reading is a measurement with the name of the device, for pages.
	reading struct {
		Device string `json:"device"`
		measurement
	}
	// order is the event command of a page.
	order struct {
		Device string  `json:"device"`
		Target float64 `json:"target"`
	}
	// setting is what a device gets.
	setting struct {
		Target float64 `json:"target"`
	}
	// outcome is the reply to a command.
	outcome struct {
		Device string `json:"device"`
		Error  string `json:"error,omitempty"`
	}
)

type server struct{ service *service.Client }

// connect gives a device the right to its own topics, and a page the readings.
func (server) connect(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
	name, isDevice := strings.CutPrefix(r.UserID, devicePrefix)
	switch {
	case isDevice != (r.MQTT != nil):
		return nil, handler.Reject(http.StatusForbidden, "devices connect by MQTT, and nobody else does")
	case !isDevice:
		return &handler.ConnectResponse{Groups: []string{groupTelemetry, groupStatus}}, nil
	case !validName.MatchString(name):
		return nil, handler.Reject(http.StatusForbidden, "the name of a device has 1 to 32 small letters, digits and -")
	}
	return &handler.ConnectResponse{Roles: []string{
		webpubsub.RoleJoinLeaveGroup(groupCommands + name),
		webpubsub.RoleSendToGroup(groupStatus),
	}}, nil
}

// telemetry passes a measurement on to the pages. Here it would be stored as well.
func (server) telemetry(ctx context.Context, e *handler.UserEvent, m measurement) (*handler.EventResponse, error) {
	name, isDevice := strings.CutPrefix(e.UserID, devicePrefix)
	switch {
	case !isDevice:
		return nil, handler.Reject(http.StatusForbidden, "telemetry is sent by devices")
	case m.Temperature < coldest || m.Temperature > hottest:
		return nil, handler.Reject(http.StatusBadRequest, "temperature is out of range")
	}
	return nil, e.SendToGroup(ctx, groupTelemetry, webpubsub.MustJSON(reading{name, m}), nil)
}

// command passes the order of a page on to a device.
func (s server) command(ctx context.Context, e *handler.UserEvent, o order) (*handler.EventResponse, error) {
	switch {
	case strings.HasPrefix(e.UserID, devicePrefix):
		return nil, handler.Reject(http.StatusForbidden, "devices do not command")
	case !validName.MatchString(o.Device) || o.Target < minTarget || o.Target > maxTarget:
		return nil, handler.Reject(http.StatusBadRequest, "device or target is invalid")
	}
	group := groupCommands + o.Device
	// A message to a group without members has no effect, and is no error.
	connected, err := s.service.GroupExists(ctx, group, nil)
	if err != nil {
		return nil, err
	}
	out := outcome{Device: o.Device}
	if !connected {
		out.Error = "not connected"
	} else if err := s.service.SendToGroup(ctx, group, webpubsub.MustJSON(setting{o.Target}), nil); err != nil {
		return nil, err
	}
	return &handler.EventResponse{Message: webpubsub.MustJSON(out)}, nil
}
