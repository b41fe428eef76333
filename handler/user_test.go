package handler_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

func withBody(r *http.Request, body string) *http.Request {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return r
}

func TestUserEventPayloads(t *testing.T) {
	for _, tt := range []struct {
		contentType string
		want        webpubsub.DataType
		status      int
	}{
		{"text/plain", webpubsub.DataTypeText, 204},
		{"text/plain; charset=utf-8", webpubsub.DataTypeText, 204},
		{"TEXT/Plain", webpubsub.DataTypeText, 204},
		{"application/json", webpubsub.DataTypeJSON, 204},
		{"application/json; charset=utf-8", webpubsub.DataTypeJSON, 204},
		{"application/octet-stream", webpubsub.DataTypeBinary, 204},
		{"application/x-protobuf", webpubsub.DataTypeProtobuf, 204},
		{"", webpubsub.DataTypeBinary, 204},
		{"application/xml", "", 415},
		{"application/cloudevents+json", "", 415},
	} {
		t.Run(tt.contentType, func(t *testing.T) {
			h, _ := newHandler(t, nil)
			h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
				if e.Message.Type != tt.want || string(e.Message.Data) != `{"a":1}` || e.ContentType != tt.contentType || e.MQTT != nil {
					t.Errorf("%+v", e.Message)
				}
				return nil, nil
			})
			r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text(`{"a":1}`), nil)
			r.Header.Set("Content-Type", tt.contentType)
			if tt.contentType == "" {
				r.Header.Del("Content-Type")
			}
			wantStatus(t, handlertest.Do(h, r), tt.status)
		})
	}
}

func TestReplies(t *testing.T) {
	meta := map[string]string{"k": "v"}
	for _, tt := range []struct {
		name        string
		reply       webpubsub.Message
		status      int
		contentType string
		body        string
		metadata    map[string]string
	}{
		{"none", webpubsub.Message{}, 204, "", "", nil},
		{"text", webpubsub.Text("a"), 200, "text/plain; charset=utf-8", "a", nil},
		{"JSON", webpubsub.MustJSON(map[string]int{"a": 1}), 200, "application/json; charset=utf-8", `{"a":1}`, nil},
		{"binary", webpubsub.Binary([]byte{0, 1}), 200, "application/octet-stream", "\x00\x01", nil},
		{"protobuf", webpubsub.Protobuf([]byte{8, 1}), 200, "application/x-protobuf", "\x08\x01", nil},
		{"empty text is not a reply for the service", webpubsub.Text(""), 204, "", "", nil},
		{"metadata", webpubsub.Text("a").WithMetadata("K", "v"), 200, "text/plain; charset=utf-8", "a", meta},
		{"metadata only", webpubsub.Message{Metadata: meta}, 200, "", "", meta},

		{"bad metadata key", webpubsub.Text("a").WithMetadata("a b", "v"), 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
		{"bad metadata value", webpubsub.Text("a").WithMetadata("a", "v\r\nce-connectionState: x"), 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
		{"metadata with a comma would arrive cut", webpubsub.Text("a").WithMetadata("a", "1,2"), 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
		// The service drops such a reply without reporting why, and may close the
		// client's connection.
		{"invalid JSON", webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte("{")}, 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
		{"JSON that is not UTF-8", webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte("\"\xff\"")}, 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
		{"text that is not UTF-8", webpubsub.Text("\xff"), 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
		{"unknown type", webpubsub.Message{Type: "weird", Data: []byte("a")}, 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
		{"above 16 MiB", webpubsub.Binary(make([]byte, 16<<20+1)), 500, "text/plain; charset=utf-8", "Internal Server Error", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, nil)
			h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) { return reply(tt.reply), nil })
			res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil))
			wantStatus(t, res, tt.status)
			if got := res.Header.Get("Content-Type"); got != tt.contentType || string(res.Body) != tt.body {
				t.Errorf("%q %q", got, res.Body)
			}
			if got := res.Message().Metadata; !maps.Equal(got, tt.metadata) {
				t.Errorf("metadata %v", got)
			}
			if tt.status == 500 && !strings.Contains(log.String(), "callback failed") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestMetadataOfClient(t *testing.T) {
	h, _ := newHandler(t, nil)
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		if !maps.Equal(e.Message.Metadata, map[string]string{"trace": "abc", "b-c": "1"}) {
			t.Errorf("metadata %v", e.Message.Metadata)
		}
		return nil, nil
	})
	m := webpubsub.Text("hi").WithMetadata("Trace", "abc").WithMetadata("b-c", "1")
	wantStatus(t, handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", m, nil)), 204)
}

func TestUserEventErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		f      handler.EventFunc
		status int
		body   string
		log    string
	}{
		{"reject", fail(handler.Reject(400, "too long")), 400, "too long", "level=INFO"},
		{"reject 503", fail(handler.Reject(503, "later")), 503, "later", "level=INFO"},
		{"MQTT code", fail(handler.RejectMQTT(handler.MQTT5QuotaExceeded, "full")), 429, "full", "level=INFO"},
		{"any error", fail(errors.New("secret path")), 500, "Internal Server Error", "secret path"},
		{"panic", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) { panic("boom") }, 500, "Internal Server Error", "panic in callback"},
		{"panic of an error", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			var none []string
			return &handler.EventResponse{Message: webpubsub.Text(none[len(none)])}, nil
		}, 500, "Internal Server Error", "user_test.go"}, // the stack
		{"nil panic", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			panic(nil) //nolint:govet // the case that is tested
		}, 500, "Internal Server Error", "panic in callback"},
		{"own deadline", func(ctx context.Context, _ *handler.UserEvent) (*handler.EventResponse, error) {
			return nil, context.DeadlineExceeded
		}, 500, "Internal Server Error", "deadline"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, nil)
			h.OnEvent("message", tt.f)
			res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil))
			wantStatus(t, res, tt.status)
			if string(res.Body) != tt.body || res.Header.Get("ce-connectionState") != "" {
				t.Errorf("body %q, header %v", res.Body, res.Header)
			}
			if !strings.Contains(log.String(), tt.log) || !strings.Contains(log.String(), "event=message") {
				t.Errorf("log: %s", log)
			}
			// The handler still works.
			wantStatus(t, handlertest.Do(h, handlertest.Connect("chat", "conn1", nil)), 204)
		})
	}
}

func fail(err error) handler.EventFunc {
	return func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text("not sent"), State: map[string]any{"k": 1}}, err
	}
}

// A callback that panicked with http.ErrAbortHandler, or whose error panicked
// when it was logged, dropped the connection, upon which the Azure Functions
// host ran it up to 40 times and shut down. Nothing was written, so the response
// is 500, and the next request comes over the same connection.
func TestPanicKeepsTheConnection(t *testing.T) {
	var broken *nilError
	for name, f := range map[string]handler.EventFunc{
		"ErrAbortHandler": func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			panic(http.ErrAbortHandler)
		},
		"an error that is a nil pointer": fail(broken),
	} {
		t.Run(name, func(t *testing.T) {
			h, log := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
			h.OnEvent("message", f)
			s := httptest.NewServer(h)
			defer s.Close()
			connections := make(map[string]bool)
			for range 2 { // the second would wait for the first, had it not ended
				connections[wantFailure(t, s)] = true
			}
			s.Close() // waits for the log
			if len(connections) != 1 {
				t.Errorf("%d connections", len(connections))
			}
			if !strings.Contains(log.String(), "panic in") || !strings.Contains(log.String(), "connection=conn1") || !strings.Contains(log.String(), "_test.go") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// wantFailure sends a user event over HTTP, expects a complete response with status
// 500, and returns the address of the connection.
func wantFailure(t *testing.T, s *httptest.Server) (connection string) {
	t.Helper()
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), &handlertest.Options{URL: s.URL})
	r.RequestURI = ""
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { connection = c.Conn.LocalAddr().String() }}
	res, err := s.Client().Do(r.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != 500 || string(body) != "Internal Server Error" || err != nil {
		t.Errorf("status %d, body %q, error %v", res.StatusCode, body, err)
	}
	return connection
}

// nilError is an error of the kind that is returned as a typed nil pointer by
// mistake.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// A callback may end its goroutine, as t.FailNow does. net/http then closes the
// connection without completing the response, so the handler completes it.
func TestGoexit(t *testing.T) {
	h, log := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
	h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		runtime.Goexit()
		return nil, nil
	})
	s := httptest.NewServer(h)
	defer s.Close()
	for range 2 {
		wantFailure(t, s)
	}
	s.Close() // waits for the log
	if !strings.Contains(log.String(), "Goexit") {
		t.Errorf("log: %s", log)
	}
}

func TestContext(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Timeout = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	h.OnEvent("message", func(ctx context.Context, _ *handler.UserEvent) (*handler.EventResponse, error) {
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > time.Hour {
			t.Errorf("deadline %v %v", d, ok)
		}
		cancel() // the service closes the request
		<-ctx.Done()
		return nil, ctx.Err()
	})
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil).WithContext(ctx)
	wantStatus(t, handlertest.Do(h, r), 500)
}

// The context behaves like one of context.WithTimeout.
func TestCallbackContext(t *testing.T) {
	type key struct{}
	handle := func(t *testing.T, timeout time.Duration, r *http.Request, f func(context.Context)) {
		t.Helper()
		h, _ := newHandler(t, func(o *handler.Options) { o.Timeout = timeout })
		h.OnEvent("message", func(ctx context.Context, _ *handler.UserEvent) (*handler.EventResponse, error) {
			f(ctx)
			return nil, nil
		})
		wantStatus(t, handlertest.Do(h, r), 204)
	}
	event := func(ctx context.Context) *http.Request {
		return handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil).WithContext(ctx)
	}
	synctest.Test(t, func(t *testing.T) {
		handle(t, time.Minute, event(t.Context()), func(ctx context.Context) {
			if ctx.Err() != nil {
				t.Error(ctx.Err())
			}
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			begin := time.Now()
			<-child.Done()
			if time.Since(begin) != time.Minute || child.Err() != context.DeadlineExceeded || context.Cause(child) != context.DeadlineExceeded {
				t.Errorf("a child ended with %v after %v", child.Err(), time.Since(begin))
			}
		})
		// Asked only when it is over.
		handle(t, time.Minute, event(t.Context()), func(ctx context.Context) {
			time.Sleep(time.Minute)
			if context.Cause(ctx) != context.DeadlineExceeded {
				t.Errorf("cause %v", context.Cause(ctx))
			}
		})
		// The request's own deadline and values count.
		parent, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, 1), time.Second)
		defer cancel()
		handle(t, time.Minute, event(parent), func(ctx context.Context) {
			if d, ok := ctx.Deadline(); !ok || time.Until(d) != time.Second || ctx.Value(key{}) != 1 {
				t.Errorf("deadline in %v, value %v", time.Until(d), ctx.Value(key{}))
			}
		})
		// It ends with the callback, whether it was looked at before or not.
		for _, look := range []bool{true, false} {
			var kept context.Context
			handle(t, time.Minute, event(t.Context()), func(ctx context.Context) {
				if kept = ctx; look {
					_ = ctx.Done()
				}
			})
			if <-kept.Done(); kept.Err() != context.Canceled {
				t.Errorf("after the callback: %v", kept.Err())
			}
		}
	})
}

func TestJSONEvent(t *testing.T) {
	type order struct {
		Item  string `json:"item"`
		Count int    `json:"count"`
	}
	for _, tt := range []struct {
		name   string
		give   webpubsub.Message
		status int
		want   string
	}{
		{"JSON", webpubsub.MustJSON(order{"tea", 2}), 200, "2 tea"},
		{"text of a plain client", webpubsub.Text(`{"item":"tea","count":2}`), 200, "2 tea"},
		{"unknown fields", webpubsub.Text(`{"item":"tea","count":2,"x":1}`), 200, "2 tea"},
		{"damaged", webpubsub.Text(`{"item":`), 400, "event order: invalid JSON payload"},
		{"empty", webpubsub.Text(``), 400, "event order: invalid JSON payload"},
		{"other type", webpubsub.Text(`{"count":"two"}`), 400, "event order: invalid JSON payload"},
		{"trailing text", webpubsub.Text(`{} {}`), 400, "event order: invalid JSON payload"},
		{"binary", webpubsub.Binary([]byte(`{}`)), 400, "event order requires JSON, not binary"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := newHandler(t, nil)
			h.OnEvent("order", handler.JSONEvent(func(_ context.Context, e *handler.UserEvent, o order) (*handler.EventResponse, error) {
				if tt.status != 200 {
					t.Error("called")
				}
				return &handler.EventResponse{Message: webpubsub.Text(string(rune('0'+o.Count)) + " " + o.Item)}, nil
			}))
			res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "order", tt.give, nil))
			wantStatus(t, res, tt.status)
			if string(res.Body) != tt.want {
				t.Errorf("body %q", res.Body)
			}
		})
	}
}

// A payload is passed on byte for byte.
func TestPayloadIsVerbatim(t *testing.T) {
	h, _ := newHandler(t, nil)
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return reply(e.Message), nil
	})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Binary(all), nil))
	if !bytes.Equal(res.Message().Data, all) || res.Message().Type != webpubsub.DataTypeBinary {
		t.Errorf("%v", res.Message())
	}
}
