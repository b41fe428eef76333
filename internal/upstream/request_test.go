package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/webhook"
)

// rawHandler is an event handler that keeps the bytes of each request: net/http
// would change the case of header names.
func rawHandler(t *testing.T) (address string, requests <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			got <- readRaw(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), got
}

func readRaw(c net.Conn) string {
	defer c.Close()
	var raw bytes.Buffer
	r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &raw)))
	if err != nil {
		return err.Error()
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err.Error()
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	return raw.String()
}

var requestID = regexp.MustCompile(`x-ms-client-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

var traceParent = regexp.MustCompile(`traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}`)

// lines returns a request with its header lines sorted: their order means
// nothing.
func lines(t *testing.T, raw string) []string {
	t.Helper()
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		t.Fatalf("not a request: %q", raw)
	}
	head = requestID.ReplaceAllString(head, "x-ms-client-request-id: <uuid>")
	head = traceParent.ReplaceAllString(head, "traceparent: <span>")
	all := strings.Split(head, "\r\n")
	slices.Sort(all[1:])
	return append(all, "", body)
}

// The golden requests are what the service sends, byte for byte except for the
// order of the lines and the line Content-Length.
func TestRequestOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options upstream.Options
		event   upstream.Event
		want    []string // of the header, what differs from the common part
		body    string
	}{
		{
			name:    "user event",
			options: upstream.Options{Keys: []string{testKey}},
			event: upstream.Event{
				Kind: upstream.User, Name: "message", ID: 2, UserID: "alice", State: new("eyJuIjoxfQ=="),
				ContentType: "text/plain; charset=utf-8", Body: []byte("hello"),
			},
			want: []string{
				"Content-Length: 5", "Content-Type: text/plain; charset=utf-8",
				"ce-connectionState: eyJuIjoxfQ==", "ce-eventName: message", "ce-id: 2",
				"ce-signature: sha256=8de7281e588e23b0a30a7180ffa240257b8176e983004c240c9f3f7a7233c993",
				"ce-source: /hubs/chat/client/conn1", "ce-type: azure.webpubsub.user.message", "ce-userId: alice",
			},
			body: "hello",
		},
		{
			name:    "two keys in one line, raw UTF-8 user, empty state, metadata",
			options: upstream.Options{Keys: []string{testKey, "second"}},
			event: upstream.Event{
				Kind: upstream.User, Name: "a.b", ID: 1 << 40, UserID: "Zoë 名", State: new(""), Subprotocol: "json.webpubsub.azure.v1",
				ContentType: "application/octet-stream", Metadata: map[string]string{"Trace-ID": "1"},
			},
			want: []string{
				"Content-Length: 0", "Content-Type: application/octet-stream",
				"ce-connectionState: ", "ce-eventName: a.b", "ce-id: 1099511627776",
				"ce-signature: sha256=8de7281e588e23b0a30a7180ffa240257b8176e983004c240c9f3f7a7233c993," + webhook.Signature("second", "conn1"),
				"ce-source: /hubs/chat/client/conn1", "ce-subprotocol: json.webpubsub.azure.v1",
				"ce-type: azure.webpubsub.user.a.b", "ce-userId: Zoë 名", "x-webpubsub-metadata-trace-id: 1",
			},
		},
		{
			name:    "two keys in two lines, connect of a WebSocket client has no subprotocol yet",
			options: upstream.Options{Keys: []string{"second", testKey}, SignatureLines: true},
			event:   upstream.Event{Kind: upstream.Connect, Subprotocol: "json.webpubsub.azure.v1"},
			want: []string{
				"Content-Length: 79", "Content-Type: application/json", "ce-eventName: connect", "ce-id: 0",
				"ce-signature: " + webhook.Signature("second", "conn1"), "ce-signature: " + webhook.Signature(testKey, "conn1"),
				"ce-source: /hubs/chat/client/conn1", "ce-type: azure.webpubsub.sys.connect",
			},
			body: `{"claims":{},"query":{},"headers":{},"subprotocols":[],"clientCertificates":[]}`,
		},
		{
			name:  "connected, no keys",
			event: upstream.Event{Kind: upstream.Connected, ID: 1, Subprotocol: "custom"},
			want: []string{
				"Content-Length: 2", "Content-Type: application/json", "ce-eventName: connected", "ce-id: 1",
				"ce-source: /hubs/chat/client/conn1", "ce-subprotocol: custom", "ce-type: azure.webpubsub.sys.connected",
			},
			body: `{}`,
		},
		{
			name:  "disconnected",
			event: upstream.Event{Kind: upstream.Disconnected, ID: 3},
			want: []string{
				"Content-Length: 13", "Content-Type: application/json", "ce-eventName: disconnected", "ce-id: 3",
				"ce-source: /hubs/chat/client/conn1", "ce-type: azure.webpubsub.sys.disconnected",
			},
			body: `{"reason":""}`,
		},
		{
			name:  "group joined",
			event: upstream.Event{Kind: upstream.GroupJoined, ID: 3, Group: `a"b`},
			want: []string{
				"Content-Length: 16", "Content-Type: application/json", "ce-eventName: joined", "ce-id: 3",
				"ce-source: /hubs/chat/client/conn1", "ce-type: azure.webpubsub.gp.joined",
			},
			body: `{"group":"a\"b"}`,
		},
		{
			name: "MQTT connect names its subprotocol",
			event: upstream.Event{
				Kind: upstream.Connect, Subprotocol: "mqtt", PhysicalConnectionID: "p1",
				Body: []byte(`{}`), MQTTProperties: []upstream.MQTTProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
			},
			want: []string{
				"Content-Length: 2", "Content-Type: application/json", "ce-eventName: connect", "ce-id: 0",
				"ce-physicalConnectionId: p1", "ce-source: /hubs/chat/client/conn1/p1", "ce-subprotocol: mqtt",
				"ce-type: azure.webpubsub.sys.connect", "mqtt-a: 1", "mqtt-a: 2",
			},
			body: `{}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, requests := rawHandler(t)
			tt.options.Origin = "emulator.example.test"
			tt.options.Now = func() time.Time {
				return time.Date(2026, 1, 2, 4, 4, 5, 678, time.FixedZone("CET", 3600))
			}
			d, _ := start(t, tt.options)
			tt.event.Hub, tt.event.ConnectionID = "chat", "conn1"
			h := upstream.Handler{
				URL:          "http://" + address + "/{hub}/{event}?code=key",
				UserEvents:   "*",
				SystemEvents: []string{"connect", "connected", "disconnected"},
				GroupEvents:  []string{"joined"},
			}
			if _, err := d.Deliver(t.Context(), []upstream.Handler{h}, tt.event); err != nil {
				t.Fatal(err)
			}
			name := tt.event.Name
			if name == "" {
				name = tt.event.Kind.String()
			}
			preflight := []string{
				"OPTIONS /chat/validate?code=key HTTP/1.1",
				"Host: " + address,
				"WebHook-Request-Origin: emulator.example.test", "ce-awpsversion: 1.0", "", "",
			}
			if got := lines(t, <-requests); !slices.Equal(got, preflight) {
				t.Errorf("preflight\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(preflight, "\n"))
			}
			want := append([]string{
				"Host: " + address,
				"WebHook-Request-Origin: emulator.example.test", "ce-awpsversion: 1.0", "ce-specversion: 1.0",
				"ce-connectionId: conn1", "ce-hub: chat", "ce-time: 2026-01-02T03:04:05Z", "traceparent: <span>", "x-ms-client-request-id: <uuid>",
			}, tt.want...)
			slices.Sort(want)
			want = append(append([]string{"POST /chat/" + name + "?code=key HTTP/1.1"}, want...), "", tt.body)
			if got := lines(t, <-requests); !slices.Equal(got, want) {
				t.Errorf("event\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// The events of a connection are spans of the trace that its client began
// (W3C Trace Context), or of one trace of the connection.
func TestTraceParent(t *testing.T) {
	var got []string
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		//lint:ignore SA1008 the name is sent in this spelling
		got = append(got, strings.Join(r.Header["traceparent"], ""))
		return answer(r, 200, "WebHook-Allowed-Origin", "*"), nil
	})}
	d, _ := start(t, upstream.Options{Client: client})
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, tt := range []struct{ parent, prefix, suffix string }{
		{"00-" + trace + "-" + span + "-01", "00-" + trace + "-", "-01"},
		{"00-" + trace + "-" + span + "-00", "00-" + trace + "-", "-00"},
		{"", "00-", "-00"},
		{"00-" + strings.Repeat("0", 32) + "-" + span + "-01", "00-", "-00"},
		{"00-" + trace + "-" + strings.Repeat("0", 16) + "-01", "00-", "-00"},
		{"00-" + trace + "-" + span + "-01\r\nx: y", "00-", "-00"},
	} {
		got = nil
		for range 2 {
			e := hello()
			e.TraceParent = tt.parent
			if _, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, e); err != nil {
				t.Fatal(err)
			}
		}
		got = got[len(got)-2:] // without the preflight
		for _, g := range got {
			if !strings.HasPrefix(g, tt.prefix) || !strings.HasSuffix(g, tt.suffix) || len(g) != 55 || strings.Contains(g, span) {
				t.Errorf("%q continues as %q", tt.parent, g)
			}
		}
		if got[0] == got[1] || got[0][:35] != got[1][:35] || (got[0][3:35] == trace) != (tt.prefix != "00-") {
			t.Errorf("%q: the events are %q, want two spans of one trace", tt.parent, got)
		}
	}
}

// Keys of metadata differed in the letter case alone, and a random one was sent.
func TestMetadataKeysHaveNoCase(t *testing.T) {
	var got []string
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			//lint:ignore SA1008 the name is sent in this spelling
			got = append(got, r.Header["x-webpubsub-metadata-key"]...)
		}
		return answer(r, 200, "WebHook-Allowed-Origin", "*"), nil
	})}
	d, _ := start(t, upstream.Options{Client: client})
	for range 20 {
		e := hello()
		e.Metadata = map[string]string{"key": "1", "Key": "2", "KEY": "3", "kEY": "4"}
		if _, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, e); err != nil {
			t.Fatal(err)
		}
	}
	if len(slices.Compact(got)) != 1 {
		t.Errorf("the values are %q, want always the same", got)
	}
}

// What cannot be a header must not be tried four times, and must not split the
// request in two.
func TestControlCharactersAreRefused(t *testing.T) {
	h := serve(t, func(http.ResponseWriter, *http.Request) {})
	d, r := start(t, upstream.Options{})
	for text, change := range map[string]func(*upstream.Event){
		"ce-userId":                func(e *upstream.Event) { e.UserID = "a\r\nce-hub: other" },
		"has a control character":  func(e *upstream.Event) { e.ConnectionID = "a\x00" },
		"ce-connectionState":       func(e *upstream.Event) { e.State = new("a\x7f") },
		"Content-Type":             func(e *upstream.Event) { e.ContentType = "text/plain\n" },
		"x-webpubsub-metadata-a":   func(e *upstream.Event) { e.Metadata = map[string]string{"a": "\n"} },
		"x-webpubsub-metadata-a b": func(e *upstream.Event) { e.Metadata = map[string]string{"a b": ""} },
		"mqtt-\u00fc":              func(e *upstream.Event) { e.MQTTProperties = []upstream.MQTTProperty{{Name: "ü"}} },
		"mqtt-a: 1\\r\\nmqtt-b: 2\\r\\n": func(e *upstream.Event) {
			e.MQTTProperties = []upstream.MQTTProperty{{Name: "a: 1\r\nmqtt-b: 2\r\n"}}
		},
	} {
		e := hello()
		change(&e)
		_, err := d.Deliver(t.Context(), []upstream.Handler{h}, e)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Deliver = %v, want an error with %q", err, text)
		}
	}
	if got := r.methods(); !slices.Equal(got, []string{"OPTIONS"}) {
		t.Errorf("requests = %v, want the validation only", got)
	}
}

func TestManagedIdentity(t *testing.T) {
	var got []string
	h := upstream.Handler{UserEvents: "*", Audience: "api://handler"}
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		got = append(got, r.Method+" "+r.Header.Get("Authorization"))
		return answer(r, 200, "WebHook-Allowed-Origin", "*"), nil
	})}
	h.URL = "https://h.example/events"

	d, _ := start(t, upstream.Options{Client: client, Token: func(_ context.Context, audience string) (string, error) {
		return "token-for-" + audience, nil
	}})
	if _, err := d.Deliver(t.Context(), []upstream.Handler{h}, hello()); err != nil {
		t.Fatal(err)
	}
	want := []string{"OPTIONS Bearer token-for-api://handler", "POST Bearer token-for-api://handler"}
	if !slices.Equal(got, want) {
		t.Errorf("requests = %q, want %q", got, want)
	}

	got = nil
	d, _ = start(t, upstream.Options{Client: client})
	_, err := d.Deliver(t.Context(), []upstream.Handler{h}, hello())
	var invalid *upstream.ValidationError
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "no source of tokens is configured") {
		t.Errorf("without Options.Token: Deliver = %v, want a ValidationError about the source of tokens", err)
	}

	broken := errors.New("no identity is assigned")
	d, _ = start(t, upstream.Options{Client: client, Token: func(context.Context, string) (string, error) { return "", broken }})
	if _, err := d.Deliver(t.Context(), []upstream.Handler{h}, hello()); !errors.Is(err, broken) {
		t.Errorf("failing Options.Token: Deliver = %v, want it to wrap %v", err, broken)
	}
	if len(got) != 0 {
		t.Errorf("requests without a token = %q, want none", got)
	}
}
