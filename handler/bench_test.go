package handler_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
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

// BenchmarkUserEvent is one verified text event with a text reply.
func BenchmarkUserEvent(b *testing.B) {
	for _, bb := range []struct {
		name string
		keys int
	}{{"one key", 1}, {"two keys", 2}} {
		b.Run(bb.name, func(b *testing.B) {
			o := handler.Options{
				ConnectionStrings: []string{handlertest.ConnectionString},
				Logger:            slog.New(slog.NewTextHandler(io.Discard, nil)),
			}
			if bb.keys == 2 {
				o.AccessKeys = []string{"another"}
			}
			h, err := handler.New(o)
			if err != nil {
				b.Fatal(err)
			}
			reply := webpubsub.Text("hello back")
			h.OnEvent("message", func(context.Context, *handler.UserEvent) (webpubsub.Message, error) {
				return reply, nil
			})
			r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hello"), &handlertest.Options{UserID: "alice"})
			body := strings.NewReader("hello")
			r.Body = io.NopCloser(body)
			w := &discard{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset("hello")
				clear(w.header)
				h.ServeHTTP(w, r)
			}
			if w.status != http.StatusOK {
				b.Fatalf("status %d", w.status)
			}
		})
	}
}
