package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/emulator/tunnels"
	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/internal/webhook"
)

// remote is the service's end of tunnels.
type remote struct {
	*tunnels.Registry
	connectionString string
}

func startRemote(t *testing.T) *remote {
	r := &remote{Registry: tunnels.New(tunnels.Options{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("hub") == "closed" {
			http.Error(w, "no such key", http.StatusUnauthorized)
			return
		}
		r.Accept(w, req, req.URL.Query().Get("hub"))
	}))
	t.Cleanup(server.Close)
	t.Cleanup(r.Close)
	r.connectionString = "Endpoint=" + server.URL + ";AccessKey=the-secret;"
	return r
}

// send sends a request through the tunnel of the hub chat.
func (r *remote) send(t *testing.T, req *http.Request) (status int, body string) {
	t.Helper()
	resp, err := r.Transport("chat").RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// background runs a command until the test ends.
func background(t *testing.T, args ...string) *testlog.Buffer {
	t.Helper()
	log := &testlog.Buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- dispatch(ctx, testEnv(log, log, nil), args) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s ended with %v", args[0], err)
		}
		http.DefaultClient.CloseIdleConnections()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return log
}

func TestTunnel(t *testing.T) {
	r := startRemote(t)
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, req.Host+" "+req.RequestURI)
	}))
	log := background(t, "tunnel", "-connection-string", r.connectionString, "-upstream", local.URL+"/base")
	waitFor(t, func() bool { return len(r.Tunnels()) == 1 && strings.Contains(log.String(), "is open") }, "a tunnel")

	event := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), &handlertest.Options{UserID: "alice"})
	event.URL.Path, event.URL.RawQuery = "/api/events", "code=the-key"
	status, body := r.send(t, event)
	if want := strings.TrimPrefix(local.URL, "http://") + " /base/api/events?code=the-key"; status != http.StatusAccepted || body != want {
		t.Errorf("response %d %q, want %q", status, body, want)
	}
	status, _ = r.send(t, handlertest.ValidationRequest("contoso.webpubsub.azure.com"))
	if status != http.StatusAccepted {
		t.Errorf("validation: %d", status)
	}
	local.Close()
	if status, _ = r.send(t, handlertest.ValidationRequest("contoso.webpubsub.azure.com")); status != http.StatusBadGateway {
		t.Errorf("a server that does not run: %d", status)
	}
	for _, line := range []string{
		"Tunnel from the hub chat of http://127.0.0.1:", "tunnel:///api/events",
		"event message of connection conn1 of user alice: POST /api/events, 202 in ",
		"validation from contoso.webpubsub.azure.com: OPTIONS /", ", 502 in ", "is it running?",
	} {
		waitFor(t, func() bool { return strings.Contains(log.String(), line) }, "the line "+line)
	}
	for _, secret := range []string{"the-secret", "the-key", "eyJ"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q was printed", secret)
		}
	}
}

func TestTunnelErrors(t *testing.T) {
	r := startRemote(t)
	for _, tt := range []struct {
		args   []string
		want   string
		status int
	}{
		{[]string{"-connection-string", r.connectionString, "-hub", "closed"}, "check that the access key is one of this resource", 1},
		{[]string{"-connection-string", "Endpoint=http://127.0.0.1:1;AccessKey=k;"}, "connection refused", 1},
		{[]string{"-upstream", "localhost:7071"}, "-upstream must be", 2},
		{[]string{"-connection-string", "x"}, "connection string", 2},
		{[]string{"-connection-string", r.connectionString, "-endpoint", "https://x"}, "mutually exclusive", 2},
		{[]string{"-endpoint", "http://contoso.webpubsub.azure.com"}, "require https", 2},
	} {
		_, errOut, status := exit(t, "", nil, append([]string{"tunnel"}, tt.args...)...)
		if status != tt.status || !strings.Contains(errOut, tt.want) {
			t.Errorf("%q: status %d, %s", tt.args, status, errOut)
		}
	}
}

// dev with a hub elsewhere starts no emulator. The application in its process
// accepts what comes through the tunnel, signed or not, and nothing unsigned from
// the network. One in a process of its own verifies all.
func TestDevThroughTunnel(t *testing.T) {
	t.Run("in process", func(t *testing.T) { testDevThroughTunnel(t, http.StatusOK) })
	t.Run("program", func(t *testing.T) {
		if testing.Short() {
			t.Skip("programs are not built in short mode")
		}
		testDevThroughTunnel(t, http.StatusUnauthorized, "-app", "../../internal/test/testapp/functions")
	})
}

func testDevThroughTunnel(t *testing.T, unsignedStatus int, flags ...string) {
	r := startRemote(t)
	log := background(t, append([]string{"dev", "-functions-addr", "127.0.0.1:0", "-connection-string", r.connectionString}, flags...)...)
	waitFor(t, func() bool { return len(r.Tunnels()) == 1 && strings.Contains(log.String(), "is open") }, "a tunnel")
	_, page, _ := strings.Cut(log.String(), "page       ")
	page, _, _ = strings.Cut(page, "\n")

	resp, err := http.Get(strings.TrimSuffix(page, "index") + "negotiate?userId=alice")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(b), strings.TrimPrefix(strings.Split(r.connectionString, ";")[0], "Endpoint=http://")+"/client/hubs/chat") {
		t.Errorf("negotiate responded with %s %s", resp.Status, b)
	}

	unsigned := func(url string) *http.Request {
		event := handlertest.UserEvent("chat", "conn1", "who", webpubsub.Text(""), &handlertest.Options{UserID: "alice"})
		event.Header.Del("ce-signature")
		out, err := http.NewRequest(event.Method, url, event.Body)
		if err != nil {
			t.Fatal(err)
		}
		out.Header = event.Header
		return out
	}
	if status, body := r.send(t, unsigned("tunnel:///api/events")); status != unsignedStatus || status == http.StatusOK && !strings.Contains(body, "alice") {
		t.Errorf("an event through the tunnel: %d %s", status, body)
	}
	signed := unsigned("tunnel:///api/events")
	signed.Header["Ce-Signature"] = []string{webhook.Signature("the-secret", "conn1")}
	signed.Header["Webhook-Request-Origin"] = []string{"127.0.0.1"}
	if status, body := r.send(t, signed); status != http.StatusOK || !strings.Contains(body, "alice") {
		t.Errorf("a signed event through the tunnel: %d %s", status, body)
	}
	resp, err = http.DefaultClient.Do(unsigned(strings.TrimSuffix(page, "index") + "events"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unsigned event from the network: %s", resp.Status)
	}
}

// The whole way through a tunnel: clients of a hub elsewhere, which is that of an
// emulator, and the application in dev.
func TestDevThroughTunnelEndToEnd(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{allEvents("tunnel:///api/events")}}}})
	log := background(t, "dev", "-functions-addr", "127.0.0.1:0", "-connection-string", srv.ConnectionString())
	waitFor(t, func() bool { return len(srv.Tunnels()) == 1 && strings.Contains(log.String(), "is open") }, "a tunnel")
	_, page, _ := strings.Cut(log.String(), "page       ")
	page, _, _ = strings.Cut(page, "\n")
	alice := join(t, page, "alice")
	alice.until(`"event":"connected"`, `"userId":"alice"`)
	bob := join(t, page, "bob")
	bob.until(`"event":"connected"`)
	alice.until("bob connected")
	bob.send(`{"type":"event","event":"say","ackId":1,"dataType":"text","data":"hello"}`)
	bob.until(`"from":"server"`, testapp.Said)
	alice.until("bob: hello")
	waitFor(t, func() bool { return strings.Contains(log.String(), "event say of connection") }, "the event")
}
