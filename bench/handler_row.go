package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// What all three event handlers do: a connect is answered with the user of the
// token, a group and a role; a user event is answered with its text behind
// "echo ".

func oursHandler() http.Handler {
	h, err := handler.New(handler.Options{
		ConnectionStrings: []string{handlertest.ConnectionString},
		Logger:            slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{
			UserID: r.Claims.Get("sub"), Groups: []string{"lobby"}, Roles: []string{webpubsub.RoleSendToAnyGroup},
		}, nil
	})
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text("echo " + e.Message.String())}, nil
	})
	return h
}

// verifying is the ceiling that computes what the signature must be, and nothing
// more: one HMAC for each request.
func verifying(next http.Handler) http.Handler {
	macs := sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(handlertest.AccessKey)) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac := macs.Get().(hash.Hash)
		defer macs.Put(mac)
		mac.Reset()
		_, _ = io.WriteString(mac, r.Header.Get("ce-connectionId"))
		var sum [sha256.Size]byte
		var want [2 * sha256.Size]byte
		hex.Encode(want[:], mac.Sum(sum[:0]))
		if !hmac.Equal(want[:], []byte(strings.TrimPrefix(r.Header.Get("ce-signature"), "sha256="))) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bareHandler is the ceiling: it reads the body, decodes the same JSON and
// answers, and verifies nothing.
func bareHandler() http.Handler {
	type certificate struct{ Thumbprint, Content string }
	type connect struct {
		Claims             map[string][]string `json:"claims"`
		Query              map[string][]string `json:"query"`
		Headers            map[string][]string `json:"headers"`
		Subprotocols       []string            `json:"subprotocols"`
		ClientCertificates []certificate       `json:"clientCertificates"`
	}
	type accept struct {
		UserID string   `json:"userId,omitempty"`
		Groups []string `json:"groups,omitempty"`
		Roles  []string `json:"roles,omitempty"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Header.Get("ce-type") == "azure.webpubsub.user.message" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(append([]byte("echo "), body...))
			return
		}
		var c connect
		if json.Unmarshal(body, &c) != nil || len(c.Claims["sub"]) == 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer, _ := json.Marshal(accept{UserID: c.Claims["sub"][0], Groups: []string{"lobby"}, Roles: []string{webpubsub.RoleSendToAnyGroup}})
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
}

// event is one kind of request with the check of its answer.
type event struct {
	// request returns the request of one connection as it goes over the wire; the
	// eight bytes "%%%%%%%%" in its body stand for a number.
	request func(connection string) *http.Request
	check   func(number string, body []byte) error
}

const placeholder = "%%%%%%%%"

var userEvent = event{
	request: func(connection string) *http.Request {
		return handlertest.UserEvent("chat", connection, "message", webpubsub.Text("hello "+placeholder), &handlertest.Options{UserID: "alice"})
	},
	check: func(number string, body []byte) error {
		if want := "echo hello " + number; string(body) != want {
			return fmt.Errorf("answered %q, want %q", body, want)
		}
		return nil
	},
}

var connectEvent = event{
	request: func(connection string) *http.Request {
		return handlertest.Connect("chat", connection, &handlertest.Options{
			Claims:       handler.Claims{"sub": {placeholder}, "role": {"webpubsub.joinLeaveGroup"}, "exp": {"1893456000"}, "aud": {"http://localhost:8080/client/hubs/chat"}},
			Query:        map[string][]string{"access_token": {"secret"}, "room": {"general"}},
			ClientHeader: http.Header{"User-Agent": {"bench"}, "Origin": {"http://localhost"}, "Sec-WebSocket-Version": {"13"}},
			Subprotocols: []string{"json.reliable.webpubsub.azure.v1"},
		})
	},
	check: func(number string, body []byte) error {
		var got struct {
			UserID string
			Groups []string
			Roles  []string
		}
		if err := json.Unmarshal(body, &got); err != nil {
			return fmt.Errorf("answered %q: %w", body, err)
		}
		if got.UserID != number || strings.Join(got.Groups, " ") != "lobby" || strings.Join(got.Roles, " ") != webpubsub.RoleSendToAnyGroup {
			return fmt.Errorf("answered %q for user %s", body, number)
		}
		return nil
	},
}

func handlerContenders(e event) []contender {
	measure := func(start func(context.Context) (*process, error)) func(context.Context, settings) (sample, error) {
		return func(ctx context.Context, s settings) (sample, error) {
			defer apart()()
			p, err := start(ctx)
			if err != nil {
				return sample{}, err
			}
			defer p.stop()
			return loadHTTP(ctx, s, p, e)
		}
	}
	return []contender{
		{"this handler", measure(func(ctx context.Context) (*process, error) { return startRole(ctx, "handler-ours") })},
		{"ceiling: bare net/http", measure(func(ctx context.Context) (*process, error) { return startRole(ctx, "handler-ceiling") })},
		{"the ceiling with one HMAC", measure(func(ctx context.Context) (*process, error) { return startRole(ctx, "handler-verifying") })},
		{"peer: @azure/web-pubsub-express", measure(func(ctx context.Context) (*process, error) { return startNode(ctx, "express.js") })},
	}
}

func handlerTargets(ofCeiling float64) []target {
	return []target{
		{text: "of the ceiling", a: "this handler", b: "ceiling: bare net/http", field: value, goal: ofCeiling},
		{text: "of the peer", a: "this handler", b: "peer: @azure/web-pubsub-express", field: value, goal: 3},
		{text: "p99 of the peer's", a: "this handler", b: "peer: @azure/web-pubsub-express", field: p99, goal: 0.25, most: true},
	}
}

const handlerNote = "The ceiling verifies nothing and builds no event. What the handler costs beyond it is the signature " +
	"(an HMAC with a pooled state, compared in constant time), reading and checking the headers of the event, and the " +
	"typed event, which the callback may keep and which is therefore not pooled; for a connect also the answer's checks. " +
	"Profiles showed nothing else of weight: headers are read in one pass, deadlines are armed when a callback asks for " +
	"them, and the maps of a connect are built once."

var handlerEventRow = row{
	name: "handler-event", title: "Event handler: verified user event to text reply",
	unit: "requests per CPU second", contenders: handlerContenders(userEvent), targets: handlerTargets(0.9), note: handlerNote,
}

var handlerConnectRow = row{
	name: "handler-connect", title: "Event handler: verified connect to JSON reply",
	unit: "requests per CPU second", contenders: handlerContenders(connectEvent), targets: handlerTargets(0.95), note: handlerNote,
}

// discard is the cheapest ResponseWriter.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// inProcess measures the handler without a network, beyond what the loop of the
// benchmark costs with a handler that does nothing.
func inProcess() (nanoseconds, allocations float64, err error) {
	loop := func(h http.Handler) testing.BenchmarkResult {
		return testing.Benchmark(func(b *testing.B) {
			r := userEvent.request("conn1")
			body := strings.NewReader("")
			r.Body = io.NopCloser(body)
			w := &discard{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset("hello 00000001")
				clear(w.header)
				w.status = 0
				h.ServeHTTP(w, r)
			}
			if w.status != 0 && w.status != http.StatusOK {
				err = fmt.Errorf("status %d", w.status)
			}
		})
	}
	nothing := loop(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ours := loop(oursHandler())
	return float64(ours.NsPerOp() - nothing.NsPerOp()), float64(ours.AllocsPerOp() - nothing.AllocsPerOp()), err
}

var inProcessRow = row{
	name: "handler-inprocess", title: "Event handler in process: one verified user event",
	unit: "ns",
	contenders: []contender{
		{"time", func(context.Context, settings) (sample, error) {
			ns, _, err := inProcess()
			return sample{value: ns}, err
		}},
		{"allocations", func(context.Context, settings) (sample, error) {
			_, n, err := inProcess()
			return sample{value: n}, err
		}},
	},
	targets: []target{
		{text: "ns", a: "time", field: value, goal: 3000, most: true},
		{text: "allocations", a: "allocations", field: value, goal: 12, most: true},
	},
}
