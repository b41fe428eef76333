package handler_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/webhook"
)

// discard is the cheapest ResponseWriter, so that the benchmarks show the
// handler and not the recorder.
type discard struct {
	header http.Header
	status int
	n      int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { d.n += len(b); return len(b), nil }

// wireRequest is a request with all the headers that the cloud service sends,
// signatures of both keys among them, as net/http reads it from a connection.
func wireRequest(b *testing.B, kind, name, contentType, body string) *http.Request {
	b.Helper()
	text := "POST /api/events?code=key HTTP/1.1\r\n" +
		"Host: app.example\r\n" +
		"ce-specversion: 1.0\r\n" +
		"ce-awpsversion: 1.0\r\n" +
		"ce-type: azure.webpubsub." + kind + "." + name + "\r\n" +
		"ce-source: /hubs/chat/client/conn1\r\n" +
		"ce-id: 2\r\n" +
		"ce-time: 2026-01-02T03:04:05Z\r\n" +
		"ce-connectionId: conn1\r\n" +
		"ce-hub: chat\r\n" +
		"ce-eventName: " + name + "\r\n" +
		"ce-userId: alice\r\n" +
		"ce-connectionState: eyJuIjoxfQ==\r\n" +
		"ce-signature: " + webhook.Signature("another", "conn1") + "," + webhook.Signature(handlertest.AccessKey, "conn1") + "\r\n" +
		"WebHook-Request-Origin: localhost\r\n" +
		"x-ms-client-request-id: 6f0c1f0e-0000-0000-0000-000000000000\r\n" +
		"Content-Type: " + contentType + "\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// serve runs a verified request again and again. What it measures begins where
// net/http calls the handler and ends where the handler has written: parsing
// the request and sending the response are net/http's own.
func serve(b *testing.B, h *handler.Handler, r *http.Request, body string) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context()) // as net/http gives a request one
	defer cancel()
	r = r.WithContext(ctx)
	rest := strings.NewReader(body)
	r.Body = io.NopCloser(rest)
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		rest.Reset(body)
		clear(w.header)
		w.status, w.n = 0, 0
		h.ServeHTTP(w, r)
	}
	if w.status != http.StatusOK || w.n == 0 {
		b.Fatalf("status %d, %d bytes", w.status, w.n)
	}
}

func benchHandler(b *testing.B, keys ...string) *handler.Handler {
	b.Helper()
	h, err := handler.New(handler.Options{
		ConnectionStrings: []string{handlertest.ConnectionString},
		AccessKeys:        keys,
		Logger:            slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// BenchmarkUserEvent is one verified text event with a text reply. It is to take
// at most 3 µs and 12 allocations.
func BenchmarkUserEvent(b *testing.B) {
	for name, keys := range map[string][]string{"one key": nil, "two keys": {"second"}} {
		b.Run(name, func(b *testing.B) {
			h := benchHandler(b, keys...)
			h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
				return &handler.EventResponse{Message: webpubsub.Text("you said " + string(e.Message.Data))}, nil
			})
			serve(b, h, wireRequest(b, "user", "message", "text/plain; charset=utf-8", "hello"), "hello")
		})
	}
}

// BenchmarkConnect is one verified connect event with a reply in JSON.
func BenchmarkConnect(b *testing.B) {
	h := benchHandler(b)
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{UserID: r.Claims.Get("sub"), Groups: []string{"lobby"}, Roles: []string{"webpubsub.sendToGroup.lobby"}}, nil
	})
	body, err := json.Marshal(map[string]any{
		"claims":       map[string][]string{"sub": {"alice"}, "aud": {"https://x/client/hubs/chat"}, "exp": {"1629186974"}},
		"query":        map[string][]string{"room": {"1"}},
		"headers":      map[string][]string{"Host": {"x"}, "User-Agent": {"test"}, "Sec-WebSocket-Version": {"13"}},
		"subprotocols": []string{"json.webpubsub.azure.v1"}, "clientCertificates": []string{},
	})
	if err != nil {
		b.Fatal(err)
	}
	serve(b, h, wireRequest(b, "sys", "connect", "application/json", string(body)), string(body))
}
