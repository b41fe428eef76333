package handlertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/webhook"
)

func newHandler(t testing.TB) *handler.Handler {
	t.Helper()
	h, err := handler.New(handler.Options{
		ConnectionStrings: []string{handlertest.ConnectionString},
		Logger:            slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The requests as they are on the wire, header by header.
func TestGolden(t *testing.T) {
	const rest = "Ce-Awpsversion: 1.0\r\nCe-Connectionid: conn1\r\n"
	const sig = "Ce-Signature: sha256=8de7281e588e23b0a30a7180ffa240257b8176e983004c240c9f3f7a7233c993\r\n"
	tail := func(source string) string {
		return "Ce-Source: " + source + "\r\nCe-Specversion: 1.0\r\n"
	}
	const origin = "Webhook-Request-Origin: localhost\r\n"
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string
	}{
		{
			"connect", handlertest.Connect("chat", "conn1", nil),
			"POST /eventhandler HTTP/1.1\r\nHost: example.com\r\n" + rest + "Ce-Eventname: connect\r\nCe-Hub: chat\r\nCe-Id: 0\r\n" + sig +
				tail("/hubs/chat/client/conn1") + "Ce-Time: 2026-01-02T03:04:05Z\r\nCe-Type: azure.webpubsub.sys.connect\r\n" +
				"Content-Type: application/json; charset=utf-8\r\n" + origin + "\r\n" +
				`{"claims":{},"clientCertificates":[],"headers":{},"query":{},"subprotocols":[]}`,
		},
		{
			"user event", handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi").WithMetadata("k", "v"), &handlertest.Options{
				ID: "7", UserID: "alice", State: map[string]any{"n": 1}, Subprotocol: "json.webpubsub.azure.v1", URL: "/api/events?code=k",
			}),
			"POST /api/events?code=k HTTP/1.1\r\nHost: example.com\r\n" + rest + "Ce-Connectionstate: eyJuIjoxfQ==\r\nCe-Eventname: message\r\nCe-Hub: chat\r\nCe-Id: 7\r\n" + sig +
				tail("/hubs/chat/client/conn1") + "Ce-Subprotocol: json.webpubsub.azure.v1\r\nCe-Time: 2026-01-02T03:04:05Z\r\nCe-Type: azure.webpubsub.user.message\r\nCe-Userid: alice\r\n" +
				"Content-Type: text/plain\r\n" + origin + "X-Webpubsub-Metadata-K: v\r\n\r\nhi",
		},
		{
			"MQTT disconnected", handlertest.Disconnected("chat", "conn1", "", &handlertest.Options{
				PhysicalConnectionID: "p", SessionID: "s", MQTTDisconnect: &handler.MQTTDisconnect{InitiatedByClient: true},
			}),
			"POST /eventhandler HTTP/1.1\r\nHost: example.com\r\n" + rest + "Ce-Eventname: disconnected\r\nCe-Hub: chat\r\nCe-Id: 1\r\nCe-Physicalconnectionid: p\r\nCe-Sessionid: s\r\n" + sig +
				tail("/hubs/chat/client/conn1/p") + "Ce-Subprotocol: mqtt\r\nCe-Time: 2026-01-02T03:04:05Z\r\nCe-Type: azure.webpubsub.sys.disconnected\r\n" +
				"Content-Type: application/json; charset=utf-8\r\n" + origin + "\r\n" +
				`{"mqtt":{"initiatedByClient":true,"disconnectPacket":null},"reason":""}`,
		},
		{
			"preflight", handlertest.ValidationRequest(),
			"OPTIONS /eventhandler HTTP/1.1\r\nHost: example.com\r\nCe-Awpsversion: 1.0\r\n" + origin + "\r\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := httputil.DumpRequest(tt.r, true)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	o := &handlertest.Options{AccessKeys: []string{"a", "b"}, Origin: "x.example", Header: http.Header{"ce-id": {"9"}, "Ce-Hub": nil}}
	r := handlertest.Connected("chat", "conn1", o)
	if got := r.Header.Values("ce-signature"); len(got) != 2 || got[1] != webhook.Signature("b", "conn1") {
		t.Errorf("signatures %v", got)
	}
	if r.Header.Get("ce-id") != "9" || r.Header.Get("ce-hub") != "" || r.Header.Get("WebHook-Request-Origin") != "x.example" {
		t.Errorf("header %v", r.Header)
	}
	if o.ID != "" || o.URL != "" {
		t.Error("the options were changed")
	}
}

func TestResponse(t *testing.T) {
	h := newHandler(t)
	reply := webpubsub.Message{}
	var fail error
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: reply}, fail
	})
	do := func() *handlertest.Response {
		return handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), nil))
	}
	if res := do(); !res.OK() || !res.Message().IsZero() {
		t.Errorf("no reply: %v", res.Message())
	}
	if s, ok := do().State(); ok {
		t.Errorf("state %v", s)
	}
	reply = webpubsub.MustJSON([]int{1}).WithMetadata("K", "v")
	if m := do().Message(); m.Type != webpubsub.DataTypeJSON || m.String() != "[1]" || m.Metadata["k"] != "v" {
		t.Errorf("%+v", m)
	}
	reply = webpubsub.Message{Metadata: map[string]string{"k": "v"}}
	if m := do().Message(); m.Type != webpubsub.DataTypeText || m.Metadata["k"] != "v" {
		t.Errorf("%+v", m)
	}
	fail = errors.New("x")
	if res := do(); res.OK() || !res.Message().IsZero() {
		t.Errorf("a failure has no message: %+v", res)
	}
}

// The response of another program can be anything.
func TestForeignResponses(t *testing.T) {
	for name, respond := range map[string]http.HandlerFunc{
		"bad JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{") },
		"bad state": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ce-connectionState", "???")
		},
		"state that is a list": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ce-connectionState", "W10=")
		},
	} {
		res := handlertest.Do(respond, handlertest.Connect("chat", "conn1", nil))
		if a := res.Accepted(); a.UserID != nil || a.Groups != nil {
			t.Errorf("%s: %+v", name, a)
		}
		if s, ok := res.State(); ok {
			t.Errorf("%s: state %v", name, s)
		}
	}
	strange := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, "png")
	})
	if m := handlertest.Do(strange, handlertest.Connect("chat", "c", nil)).Message(); m.Type != webpubsub.DataTypeBinary {
		t.Errorf("%+v", m)
	}
}

// Every event reaches its callback with what it was made of.
func TestRoundTrip(t *testing.T) {
	h := newHandler(t)
	var got []string
	note := func(e *handler.Event, detail string) {
		got = append(got, fmt.Sprint(e.Name, " ", e.Hub, " ", e.ConnectionID, " ", e.UserID, " ", detail))
	}
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		note(&r.Event, r.Claims.Get("c")+r.Query.Get("q")+r.Headers.Get("H")+r.Subprotocols[0]+r.ClientCertificates[0].Thumbprint+string(r.MQTT.Password))
		return &handler.ConnectResponse{UserID: "bob", Roles: []string{}}, nil
	})
	h.OnConnected(func(_ context.Context, e *handler.ConnectedEvent) error { note(&e.Event, ""); return nil })
	h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error { note(&e.Event, e.Reason); return nil })
	h.OnGroupJoined(func(_ context.Context, e *handler.GroupEvent) error { note(&e.Event, e.Group); return nil })
	h.OnGroupLeft(func(_ context.Context, e *handler.GroupEvent) error { note(&e.Event, e.Group); return nil })
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		note(&e.Event, e.Message.String())
		return &handler.EventResponse{Message: e.Message}, nil
	})
	o := &handlertest.Options{
		UserID: "alice", Claims: handler.Claims{"c": {"1"}}, Query: map[string][]string{"q": {"2"}},
		ClientHeader: http.Header{"H": {"3"}}, Subprotocols: []string{"4"},
		ClientCertificates: []handler.ClientCertificate{{Thumbprint: "5"}}, MQTTConnect: &handler.MQTTConnect{Password: []byte("6")},
	}
	res := handlertest.Do(h, handlertest.Connect("chat", "c", o))
	if a := res.Accepted(); a.UserID == nil || *a.UserID != "bob" || a.Roles == nil || a.Groups != nil {
		t.Errorf("accepted %+v", a)
	}
	for _, r := range []*http.Request{
		handlertest.Connected("chat", "c", o), handlertest.Disconnected("chat", "c", "bye", o),
		handlertest.GroupJoined("chat", "c", "g", o), handlertest.GroupLeft("chat", "c", "g", o),
		handlertest.UserEvent("chat", "c", "hello", webpubsub.Text("hi"), o),
	} {
		if res := handlertest.Do(h, r); !res.OK() {
			t.Errorf("%d %s", res.Status, res.Body)
		}
	}
	want := []string{
		"connect chat c alice 123456", "connected chat c alice ", "disconnected chat c alice bye",
		"joined chat c alice g", "left chat c alice g", "hello chat c alice hi",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

func Example() {
	h, err := handler.New(handler.Options{ConnectionStrings: []string{handlertest.ConnectionString}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{
			Message: webpubsub.Text("hello " + e.UserID),
			State:   map[string]any{"greeted": true},
		}, nil
	})

	res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), &handlertest.Options{UserID: "alice"}))
	state, _ := res.State()
	greeted, _ := json.Marshal(state)
	fmt.Println(res.Status, res.Message(), string(greeted))
	// Output: 200 hello alice {"greeted":true}
}

func ExampleConnect() {
	h, err := handler.New(handler.Options{ConnectionStrings: []string{handlertest.ConnectionString}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{Groups: []string{r.Query.Get("room")}}, nil
	})
	res := handlertest.Do(h, handlertest.Connect("chat", "conn1", &handlertest.Options{Query: map[string][]string{"room": {"a"}}}))
	fmt.Println(res.Accepted().Groups)
	// Output: [a]
}
