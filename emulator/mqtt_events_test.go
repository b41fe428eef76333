package emulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/mqtt"
)

// handled runs an emulator whose events go to the Go handler.
func handled(t *testing.T, set func(*handler.Handler)) *emulator.Server {
	t.Helper()
	h, err := handler.New(handler.Options{Logger: slog.New(slog.DiscardHandler), AllowedOrigins: []string{"localhost"}, ConnectionStrings: []string{"Endpoint=http://localhost;AccessKey=" + emulator.DefaultAccessKey + ";Version=1.0;"}})
	if err != nil {
		t.Fatal(err)
	}
	set(h)
	return virtual(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {
		AllowAnonymous: true,
		EventHandlers: []emulator.EventHandler{{
			URL: serveInProcess(t, h), UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
			GroupEvents: []string{"joined", "left"},
		}},
	}}})
}

// collect returns a channel's content until the test has waited long enough for
// n of them.
func collect[T any](t *testing.T, from chan T, n int) (out []T) {
	t.Helper()
	for range n {
		select {
		case v := <-from:
			out = append(out, v)
		case <-time.After(patience):
			t.Fatalf("%d of %d came: %v", len(out), n, out)
		}
	}
	return out
}

// A whole life through the real handler: user name and password, state,
// presence, a session that is resumed, and its end.
func TestMQTTSessionLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan string, 100)
		var physical, sessions []string
		note := func(e *handler.Event, about string) {
			physical, sessions = append(physical, e.PhysicalConnectionID), append(sessions, e.SessionID)
			if !e.IsMQTT() || e.Subprotocol != "mqtt" || e.Source != "/hubs/chat/client/a/"+e.PhysicalConnectionID {
				t.Errorf("event %+v", e)
			}
			var state string
			_, _ = e.State().Get("s", &state)
			events <- strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.ID, e.Name, state, about))
		}
		srv := handled(t, func(h *handler.Handler) {
			h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
				if r.MQTT.Username != "u" || string(r.MQTT.Password) != "p\x00" {
					return nil, handler.RejectMQTT(handler.MQTT5BadUserNameOrPassword, "wrong", handler.MQTTUserProperty{Name: "try", Value: "u"})
				}
				note(&r.Event, fmt.Sprint(r.MQTT.ProtocolVersion, r.MQTT.CleanStart, r.MQTT.UserProperties, r.Subprotocols, r.UserID))
				return &handler.ConnectResponse{
					UserID: "bob", Groups: []string{"g"}, Roles: anything, State: map[string]any{"s": "one"},
					MQTT: &handler.MQTTConnectResponse{UserProperties: []handler.MQTTUserProperty{{Name: "x", Value: "y"}}},
				}, nil
			})
			h.OnConnected(func(_ context.Context, e *handler.ConnectedEvent) error { note(&e.Event, e.UserID); return nil })
			h.OnGroupJoined(func(_ context.Context, e *handler.GroupEvent) error { note(&e.Event, e.Group); return nil })
			h.OnGroupLeft(func(_ context.Context, e *handler.GroupEvent) error { note(&e.Event, e.Group); return nil })
			h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error {
				packet, _ := json.Marshal(e.MQTT)
				note(&e.Event, e.Reason+string(packet))
				return nil
			})
		})
		user := "u"
		connect := func(password string) (*mqttClient, *mqtt.Connack) {
			return dialMQTT(t, srv, dialOptions{noToken: true}, &mqtt.Connect{
				ClientID: "a", KeepAlive: 60, Username: &user, Password: []byte(password),
				Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 30}, {ID: mqtt.UserProperty, Data: "k", Value: "v"}},
			})
		}
		_, refused := connect("bad")
		reason, _ := refused.Properties.Data(mqtt.ReasonString)
		if refused.Code != mqtt.BadUserNameOrPassword || reason != "wrong" ||
			!reflect.DeepEqual(refused.Properties.Only(mqtt.UserProperty), mqtt.Properties{{ID: mqtt.UserProperty, Data: "try", Value: "u"}}) {
			t.Errorf("refused with %+v", refused)
		}

		c, answer := connect("p\x00")
		if got := answer.Properties.Only(mqtt.UserProperty); !reflect.DeepEqual(got, mqtt.Properties{{ID: mqtt.UserProperty, Data: "x", Value: "y"}}) {
			t.Errorf("properties of the answer %+v", got)
		}
		send(t, srv, "groups/g/:send", "hi")
		c.expect(message("g", "text/plain", "hi"))
		c.subscribe("t", 1)
		c.lose(srv, 1)
		c, _ = connect("p\x00")
		c.send(&mqtt.Disconnect{Code: 0, Properties: mqtt.Properties{{ID: mqtt.ReasonString, Data: "bye"}, {ID: mqtt.UserProperty, Data: "k", Value: "v"}}})
		c.expectClosed()
		waitIdle(t, srv)
		advance(30 * time.Second)

		got := collect(t, events, 8)
		want := []string{
			"0 connect  5 false [{k v}] [mqtt]",
			"1 connected one bob",
			"2 joined one g",
			"3 joined one t",
			"0 connect  5 false [{k v}] [mqtt]",
			"4 left one g",
			"5 left one t",
			`6 disconnected one bye{"initiatedByClient":true,"disconnectPacket":{"code":0,"userProperties":[{"name":"k","value":"v"}]}}`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		waitIdle(t, srv)
		for i, id := range physical {
			if first := i < 4; id == "" || (id == physical[0]) != first {
				t.Errorf("physical connections %q", physical)
			}
		}
		for i, id := range sessions {
			if connect := i == 0 || i == 4; (id == "") != connect || !connect && id != sessions[1] {
				t.Errorf("sessions %q", sessions)
			}
		}
	})
}

// How a connection ends is told with the DISCONNECT packet of either side.
func TestMQTTDisconnectedEvent(t *testing.T) {
	for name, tt := range map[string]struct {
		version mqtt.Version
		end     func(c *mqttClient, srv *emulator.Server)
		want    string
	}{
		"lost":          {mqtt.V5, func(c *mqttClient, _ *emulator.Server) { _ = c.ws.NetConn().Close() }, `{"initiatedByClient":false,"disconnectPacket":null}`},
		"ended":         {mqtt.V5, func(c *mqttClient, _ *emulator.Server) { c.send(&mqtt.Disconnect{Code: 4}) }, `{"initiatedByClient":true,"disconnectPacket":{"code":4,"userProperties":null}}`},
		"ended, 3.1.1":  {mqtt.V311, func(c *mqttClient, _ *emulator.Server) { c.send(&mqtt.Disconnect{}) }, `{"initiatedByClient":true,"disconnectPacket":{"code":0,"userProperties":null}}`},
		"REST":          {mqtt.V5, closeByREST, `Application server closed the connection. Reason: r{"initiatedByClient":false,"disconnectPacket":{"code":152,"userProperties":null}}`},
		"REST, 3.1.1":   {mqtt.V311, closeByREST, `Application server closed the connection. Reason: r{"initiatedByClient":false,"disconnectPacket":null}`},
		"broken packet": {mqtt.V5, func(c *mqttClient, _ *emulator.Server) { c.send(&mqtt.Subscribe{}) }, `mqtt: ` + `{"initiatedByClient":false,"disconnectPacket":{"code":130,"userProperties":null}}`},
	} {
		events := make(chan string, 1)
		srv := handled(t, func(h *handler.Handler) {
			h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error {
				packet, _ := json.Marshal(e.MQTT)
				events <- e.Reason + string(packet)
				return nil
			})
		})
		c, _ := dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{Version: tt.version, ClientID: "a", CleanStart: true})
		tt.end(c, srv)
		got := collect(t, events, 1)[0]
		if name == "broken packet" {
			got = "mqtt: " + got[strings.Index(got, "{"):]
		}
		if got != tt.want {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
}

func closeByREST(c *mqttClient, srv *emulator.Server) {
	rest(c.t, srv, request{method: "DELETE", path: "connections/a?reason=r"})
}

func TestMQTTUserEvents(t *testing.T) {
	srv := handled(t, func(h *handler.Handler) {
		h.OnEvent("echo", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
			return &handler.EventResponse{Message: e.Message, MQTT: &handler.MQTTEventResponse{
				ContentType:    e.ContentType,
				UserProperties: append(e.MQTT.UserProperties, handler.MQTTUserProperty{Name: "answer", Value: "yes"}),
			}}, nil
		})
		h.OnEvent("nothing", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return nil, nil
		})
		h.OnEvent("deny", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return nil, handler.Reject(http.StatusForbidden, "not you")
		})
	})
	const topic = "$webpubsub/server/events/"
	c := connectMQTT(t, srv, "a") // no role is needed
	for _, qos := range []byte{0, 1, 2} {
		p := message(topic+"echo", "image/png", "\x89PNG")
		p.Properties.AddUser("Name", "value")
		p.Properties.AddData(mqtt.CorrelationData, "\x00id")
		want := &mqtt.Publish{Topic: topic + "echo/succeeded", Payload: p.Payload, Properties: mqtt.Properties{
			{ID: mqtt.ContentType, Data: "image/png"},
			{ID: mqtt.UserProperty, Data: "azure-status-code", Value: "200"},
			{ID: mqtt.UserProperty, Data: "answer", Value: "yes"},
			{ID: mqtt.UserProperty, Data: "name", Value: "value"},
			{ID: mqtt.CorrelationData, Data: "\x00id"},
		}}
		id := uint16(0)
		if qos > 0 {
			id = uint16(10 + qos)
		}
		c.send(withQoS(qos, id, p))
		switch qos {
		case 1:
			c.expect(step(mqtt.TypePuback, id))
		case 2:
			c.expect(step(mqtt.TypePubrec, id))
		}
		c.expect(withQoS(qos, uint16(qos), want))
	}
	c.send(step(mqtt.TypePuback, 1), step(mqtt.TypePubrec, 2))
	c.expect(step(mqtt.TypePubrel, 2))
	answer := func(name, outcome, status, payload, contentType string) *mqtt.Publish {
		p := message(topic+name+"/"+outcome, contentType, payload)
		p.Properties.AddUser("azure-status-code", status)
		return p
	}
	c.send(message(topic+"nothing", "", "x"))
	c.expect(answer("nothing", "succeeded", "204", "", ""))
	c.send(message(topic+"deny", "text/plain", "x"))
	c.expect(answer("deny", "failed", "403", "not you", "text/plain; charset=utf-8"))
	bad := message(topic+"echo", "", "x")
	bad.Properties.AddUser("not a header", "x") // cannot travel in the request
	c.send(bad)
	c.expect(answer("echo", "failed", "500", "", ""))
	c.expectNothingElse()

	// MQTT 3.1.1 gets the payload.
	old, _ := dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{Version: mqtt.V311, ClientID: "old", CleanStart: true})
	old.send(message(topic+"echo", "", "x"))
	old.expect(message(topic+"echo/succeeded", "", "x"))
}

// A handler's refusal becomes the code of the client's version, whoever gave it.
func TestMQTTRefusedByHandler(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		v3, v5 mqtt.Code
	}{
		{401, `{"mqtt":{"code":138,"reason":"banned"}}`, 3, 138},
		{401, `{"mqtt":{"code":4}}`, 4, 128},
		{400, `{"mqtt":{"code":1000}}`, 3, 128},
		{401, ``, 5, 135},
		{400, `no JSON`, 4, 134},
		{403, ``, 5, 135},
		{429, ``, 3, 159},
	} {
		handlers, _ := upstream(t, func(w http.ResponseWriter, _ event) {
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		})
		srv := startWith(t, handlers)
		for version, want := range map[mqtt.Version]mqtt.Code{mqtt.V311: tt.v3, mqtt.V5: tt.v5} {
			c, answer := dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{Version: version, ClientID: "a"})
			if answer.Code != want {
				t.Errorf("%d %s: code %d for version %d, want %d", tt.status, tt.body, answer.Code, version, want)
			}
			c.expectClosed()
		}
	}
}
