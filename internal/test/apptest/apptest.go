// Package apptest runs an application behind the emulator, for tests with the real
// event handler and real clients.
//
//	a := apptest.Start(t, New)
//	alice := a.Connect("alice")
//	alice.Send("echo", "hello")
//	fmt.Println(alice.Receive())
package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

// patience bounds what a test waits for. It ends tests that fail, and no others.
const patience = 30 * time.Second

// App is an application, and the emulator that its events come from.
type App struct {
	*webapp.App
	URL      string // of the application
	Emulator *emulator.Server
	Log      *testlog.Buffer // what the application logs

	t *testing.T
}

// Start runs the application until the test ends. It is configured as webpubsub dev
// does it: negotiate accepts any user. getenv returns further settings, and may be nil.
func Start(t *testing.T, newApp func(webapp.Config) (*webapp.App, error), getenv func(string) string) *App {
	t.Helper()
	// The emulator needs the address of the application, which needs the emulator.
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	a := &App{URL: web.URL, Log: &testlog.Buffer{}, t: t}
	a.Emulator = emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{
		webapp.DefaultHub: {EventHandlers: []emulator.EventHandler{{
			URL: web.URL + "/api/events", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
		}}},
	}})
	app, err := newApp(webapp.Config{
		ConnectionString: a.Emulator.ConnectionString(),
		AllowUserIDQuery: true,
		Logger:           a.Log.Logger(),
		Getenv:           getenv,
	})
	if err != nil {
		t.Fatal(err)
	}
	a.App = app
	mux.Handle("/", app.Handler())
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return a
}

// Negotiate returns the client access URL of a user. more are further query
// parameters of negotiate, and may be nil.
func (a *App) Negotiate(ctx context.Context, user string, more url.Values) (string, error) {
	query := url.Values{"userId": {user}}
	for name, values := range more {
		query[name] = values
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/api/negotiate?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ URL, Error string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("negotiate responded with %s, %s, %w", resp.Status, answer.Error, err)
	}
	return answer.URL, nil
}

// Client is a connected client that collects the messages it receives.
type Client struct {
	*client.Client
	t        *testing.T
	messages chan webpubsub.Message
}

// Connect connects a client of a user, until the test ends.
func (a *App) Connect(user string) *Client {
	a.t.Helper()
	c, err := client.New(func(ctx context.Context) (string, error) { return a.Negotiate(ctx, user, nil) }, client.Options{})
	if err != nil {
		a.t.Fatal(err)
	}
	out := &Client{c, a.t, make(chan webpubsub.Message, 1000)}
	c.OnServerMessage(func(_ context.Context, m client.ServerMessage) { out.messages <- m.Message })
	c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { out.messages <- m.Message })
	if err := c.Start(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = c.Stop(context.Background()) })
	return out
}

// Send sends an event with v as JSON, and returns when the event handler has responded.
func (c *Client) Send(event string, v any) error {
	return c.SendEvent(c.t.Context(), event, webpubsub.MustJSON(v), &client.SendEventOptions{Retry: &client.RetryOptions{MaxRetries: -1}})
}

// Receive returns the next message.
func (c *Client) Receive() webpubsub.Message {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(patience):
		c.t.Fatalf("no message in %v", patience)
		return webpubsub.Message{}
	}
}

// ReceiveJSON decodes the next message into v.
func (c *Client) ReceiveJSON(v any) {
	c.t.Helper()
	m := c.Receive()
	if err := json.Unmarshal(m.Data, v); err != nil {
		c.t.Fatalf("%s: %v", m, err)
	}
}

// GroupURL returns a URL for scripts: JSON that is posted to it is sent to the group.
func (a *App) GroupURL(group string) string {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m webpubsub.Message
		body, err := io.ReadAll(r.Body)
		if err == nil {
			m, err = webpubsub.JSON(json.RawMessage(body))
		}
		if err == nil {
			err = a.Service.SendToGroup(r.Context(), group, m, nil)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	a.t.Cleanup(web.Close)
	return web.URL
}

// Browse runs a script that uses the page in a browser. The script is in a folder with
// a package-lock.json, and gets the environment variables PAGE_URL and CHROMIUM, and
// those of settings. Package testtool says when such tests run.
func (a *App) Browse(script string, settings ...string) {
	a.t.Helper()
	node, chromium := testtool.Need(a.t, "node"), testtool.Browser(a.t)
	testtool.NPM(a.t, filepath.Dir(script))
	ctx, cancel := context.WithTimeout(a.t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, filepath.Base(script))
	cmd.Dir = filepath.Dir(script)
	cmd.Env = append(append(os.Environ(), "PAGE_URL="+a.URL+"/api/index", "CHROMIUM="+chromium), settings...)
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("%v\n%s\n%s", err, out, a.Log)
	}
}
