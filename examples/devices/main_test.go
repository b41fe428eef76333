package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/examples/devices/thermostat"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/apptest"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/webapp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs a device until the test ends, or stop is called, which returns when the
// session of the device has ended.
func run(t *testing.T, a *apptest.App, c thermostat.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := &testlog.Buffer{}
	c.App, c.Log = a.URL, log.Logger()
	if c.Every == 0 {
		c.Every = 20 * time.Millisecond
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		thermostat.Run(ctx, c)
	}()
	stop = func() {
		cancel()
		<-ended
		if !strings.Contains(log.String(), "msg=connected") {
			return // the test ended before that
		}
		within, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := a.Emulator.WaitFor(within, func(e emulator.Entry) bool {
			return e.Kind == emulator.EntryDisconnected && e.ConnectionID == c.Name
		}); err != nil {
			t.Errorf("the session of the device is kept: %v", err)
		}
		if t.Failed() {
			t.Logf("the device %s logged %s", c.Name, log)
		}
	}
	t.Cleanup(stop)
	return stop
}

// message is any of those that a page gets.
type message struct {
	Device, Error       string
	Temperature, Target float64
	Online              *bool
}

// until receives until a message is what is waited for.
func until(t *testing.T, page *apptest.Client, is func(message) bool) message {
	t.Helper()
	for {
		var m message
		page.ReceiveJSON(&m)
		if is(m) {
			return m
		}
	}
}

func status(online bool) func(message) bool {
	return func(m message) bool { return m.Online != nil && *m.Online == online }
}

// Telemetry comes in, and a command goes out: the device does as it is told.
func TestTelemetryAndCommand(t *testing.T) {
	a := apptest.Start(t, New, nil)
	page := a.Connect("ann")
	run(t, a, thermostat.Config{Name: "kitchen"})
	m := until(t, page, func(m message) bool { return m.Device == "kitchen" })
	if m.Target != 21 || m.Temperature < 17 || m.Temperature > 19 {
		t.Errorf("got %+v", m)
	}
	if err := page.Send("command", order{"kitchen", 25.5}); err != nil {
		t.Fatal(err)
	}
	until(t, page, func(m message) bool { return m.Target == 25.5 && m.Temperature > 21 })

	if err := page.Send("command", order{"cellar", 20}); err != nil {
		t.Fatal(err)
	}
	if m := until(t, page, func(m message) bool { return m.Device == "cellar" }); m.Error != "not connected" {
		t.Errorf("a command to a device that is not there: %+v", m)
	}
}

// The last will of a device whose connection breaks says that it is offline, and the
// device connects again. One that ends says so itself.
func TestLastWill(t *testing.T) {
	a := apptest.Start(t, New, nil)
	page := a.Connect("ann")
	stop := run(t, a, thermostat.Config{Name: "kitchen"})
	until(t, page, status(true))
	if n := a.Emulator.InjectNow(emulator.Fault{Action: emulator.ResetConnection(), UserID: "device-kitchen"}); n != 1 {
		t.Fatalf("%d connections are interrupted", n)
	}
	until(t, page, status(false))
	until(t, page, status(true))
	stop()
	until(t, page, status(false))
	if err := page.Send("command", order{"kitchen", 20}); err != nil {
		t.Fatal(err)
	}
	if m := until(t, page, func(m message) bool { return m.Temperature == 0 && m.Device == "kitchen" }); m.Error != "not connected" {
		t.Errorf("the session of a device that has ended is kept: %+v", m)
	}
}

// A page and a device can do no more than their part.
func TestPermissions(t *testing.T) {
	a := apptest.Start(t, New, nil)
	page := a.Connect("ann")
	once := &client.RetryOptions{MaxRetries: -1}
	for _, group := range []string{groupStatus, groupTelemetry, groupCommands + "kitchen"} {
		if err := page.SendToGroup(t.Context(), group, webpubsub.Text("{}"), &client.SendToGroupOptions{Retry: once}); !errors.Is(err, client.ErrForbidden) {
			t.Errorf("a page publishes to %s: %v", group, err)
		}
	}
	for _, o := range []order{{"kitchen", 50}, {"kitchen", -1}, {"../x", 20}, {"", 20}} {
		if err := page.Send("command", o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	if err := page.Send("telemetry", measurement{20, 20}); err == nil {
		t.Error("a page sends telemetry")
	}
	c, err := client.New(func(ctx context.Context) (string, error) { return a.Negotiate(ctx, "device-kitchen", nil) }, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err == nil {
		_ = c.Stop(context.Background())
		t.Error("a WebSocket client is a device")
	}

	// What the service would post for a device.
	do := func(event, body string) int {
		m := webpubsub.MustJSON(json.RawMessage(body))
		return handlertest.Do(a.Events, handlertest.UserEvent("chat", "kitchen", event, m, &handlertest.Options{
			AccessKeys: []string{emulator.DefaultAccessKey}, Origin: "127.0.0.1", ID: body, UserID: "device-kitchen", PhysicalConnectionID: "p1",
		})).Status
	}
	for body, want := range map[string]int{`{"temperature":20}`: 204, `{"temperature":-300}`: 400, `{"temperature":"warm"}`: 400} {
		if got := do("telemetry", body); got != want {
			t.Errorf("telemetry %s: %d", body, got)
		}
	}
	if got := do("command", `{"device":"kitchen","target":20}`); got != http.StatusForbidden {
		t.Errorf("a device commands: %d", got)
	}
}

// With keys, a device is who its key says.
func TestKeys(t *testing.T) {
	const key = "0123456789abcdef"
	a := apptest.Start(t, New, func(name string) string {
		return map[string]string{settingKeys: "kitchen=" + key + ", hall=fedcba9876543210"}[name]
	})
	negotiate := func(query, name, key string) (int, string) {
		r := httptest.NewRequest("POST", "/api/negotiate?clientProtocol=mqtt"+query, nil)
		if name != "" {
			r.SetBasicAuth(name, key)
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, tt := range []struct {
		query, name, key string
		status           int
	}{
		{"", "kitchen", key, 200},
		{"&userId=device-hall", "kitchen", key, 200}, // as kitchen
		{"", "kitchen", "fedcba9876543210", 401},
		{"", "cellar", key, 401},
		{"", "kitchen", "", 401},
		{"&userId=device-kitchen", "", "", 401},
		{"&userid=device-kitchen", "", "", 401},
		{"&userId=%20device-kitchen", "", "", 401}, // the same user ID
		{"&userId=%EF%BD%84evice-kitchen", "", "", 401},
		{"&userId=ann", "", "", 200},
	} {
		if status, body := negotiate(tt.query, tt.name, tt.key); status != tt.status {
			t.Errorf("%+v: %d %s", tt, status, body)
		}
	}
	page := a.Connect("ann")
	run(t, a, thermostat.Config{Name: "kitchen", Key: key})
	until(t, page, func(m message) bool { return m.Device == "kitchen" })

	for _, setting := range []string{"kitchen", "kitchen=short", "Kitchen=" + key, "a=" + key + ",a=" + key} {
		_, err := New(webapp.Config{ConnectionString: handlertest.ConnectionString, Getenv: func(name string) string {
			return map[string]string{settingKeys: setting}[name]
		}})
		if err == nil || !strings.Contains(err.Error(), settingKeys) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

func TestPage(t *testing.T) {
	a := apptest.Start(t, New, nil)
	stopKitchen := run(t, a, thermostat.Config{Name: "kitchen", Every: 100 * time.Millisecond})
	run(t, a, thermostat.Config{Name: "hall", Every: 100 * time.Millisecond})
	stop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stopKitchen() }))
	t.Cleanup(stop.Close)
	a.Browse("../testdata/browser/devices.js", "STOP_URL="+stop.URL)
}
