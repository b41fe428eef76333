package handler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/internal/webhook"
)

func TestVerifySignature(t *testing.T) {
	const conn = "conn1"
	good := webhook.Signature(handlertest.AccessKey, conn)
	second := webhook.Signature("secondary", conn)
	other := webhook.Signature("other", conn)
	for _, tt := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"one", []string{good}, 200},
		{"two lines, first fits", []string{good, other}, 200},
		{"two lines, second fits", []string{other, good}, 200},
		{"list", []string{good + "," + other}, 200},
		{"list with blank, second fits", []string{other + ", " + good}, 200},
		{"secondary key", []string{second}, 200},
		{"primary and secondary", []string{good + "," + second}, 200},
		{"upper-case hex", []string{"sha256=" + strings.ToUpper(good[7:])}, 200},
		{"blanks around", []string{"  " + good + "  "}, 200},

		{"none", nil, 401},
		{"empty", []string{""}, 401},
		{"another key", []string{other}, 401},
		{"of another connection", []string{webhook.Signature(handlertest.AccessKey, "conn2")}, 401},
		{"without prefix", []string{good[7:]}, 401},
		{"another algorithm", []string{"sha1=" + good[7:]}, 401},
		{"cut", []string{good[:len(good)-1]}, 401},
		{"longer", []string{good + "0"}, 401},
		{"not hex", []string{"sha256=" + strings.Repeat("g", 64)}, 401},
		{"of an empty key", []string{webhook.Signature("", conn)}, 401},
		{"separated by semicolon", []string{good + ";" + good}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, func(o *handler.Options) { o.AccessKeys = []string{"secondary"} })
			h.OnEvent("message", replyText("ok"))
			r := handlertest.UserEvent("chat", conn, "message", webpubsub.Text("hi"), nil)
			r.Header["Ce-Signature"] = tt.lines
			res := handlertest.Do(h, r)
			wantStatus(t, res, tt.want)
			if tt.want == 401 {
				if string(res.Body) != "Unauthorized" {
					t.Errorf("the body of a 401 has details: %s", res.Body)
				}
				if !strings.Contains(log.String(), "ce-signature") || !strings.Contains(log.String(), "hint=") {
					t.Errorf("the log does not contain the reason: %s", log)
				}
			}
		})
	}
}

func TestVerifyOrigin(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"known", []string{"localhost"}, 200},
		{"one of a list", []string{"replica.example, localhost"}, 200},
		{"one of several lines", []string{"replica.example", "localhost"}, 200},
		{"other case", []string{"LOCALHOST"}, 200},
		{"unknown", []string{"evil.example"}, 401},
		{"longer", []string{"localhost.evil.example"}, 401},
		{"missing", nil, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := newHandler(t, nil)
			h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
				if want := strings.Join(tt.lines, ", "); e.Origin != want {
					t.Errorf("Origin %q, want %q", e.Origin, want)
				}
				return &handler.EventResponse{Message: webpubsub.Text("ok")}, nil
			})
			r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil)
			r.Header["Webhook-Request-Origin"] = tt.lines
			wantStatus(t, handlertest.Do(h, r), tt.want)
		})
	}
}

func TestInvalidOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    handler.Options
		want string
	}{
		{"nothing", handler.Options{}, "Options.ConnectionStrings, Options.AccessKeys or Options.Entra"},
		{"origins only", handler.Options{AllowedOrigins: []string{"a.example"}}, "no event verification configured"},
		{"key without origin", handler.Options{AccessKeys: []string{"k"}}, "Options.AllowedOrigins"},
		{"empty key", handler.Options{AccessKeys: []string{""}, AllowedOrigins: []string{"*"}}, "Options.AccessKeys[0]"},
		{"key with line end", handler.Options{AccessKeys: []string{"k", "k\n"}, AllowedOrigins: []string{"*"}}, "Options.AccessKeys[1]"},
		{"bad connection string", handler.Options{ConnectionStrings: []string{"Endpoint=https://a.example"}}, "Options.ConnectionStrings[0]: connection string: AccessKey is missing"},
		{"bad origin", handler.Options{AccessKeys: []string{"k"}, AllowedOrigins: []string{"ftp://x"}}, "Options.AllowedOrigins"},
		{"origin that is not ASCII", handler.Options{AccessKeys: []string{"k"}, AllowedOrigins: []string{"ö.example"}}, "xn--"},
		{"skip and key", handler.Options{AccessKeys: []string{"k"}, DangerouslySkipVerification: true}, "cannot be combined"},
		{"bad hub", handler.Options{DangerouslySkipVerification: true, Hubs: []string{"1"}}, "Options.Hubs"},
		{"negative", handler.Options{DangerouslySkipVerification: true, Timeout: -1}, "negative"},
		{"negative replies", handler.Options{DangerouslySkipVerification: true, Dedup: &handler.DedupOptions{MaxEntries: -1}}, "Options.Dedup"},
		{"negative bytes", handler.Options{DangerouslySkipVerification: true, Dedup: &handler.DedupOptions{MaxBytes: -1}}, "Options.Dedup"},
		{"negative TTL", handler.Options{DangerouslySkipVerification: true, Dedup: &handler.DedupOptions{TTL: -1}}, "Options.Dedup"},
		{"Entra without tenant", handler.Options{Entra: &handler.EntraOptions{}}, "Options.Entra.TenantID"},
		{"Entra without audience", handler.Options{Entra: &handler.EntraOptions{TenantID: "t"}}, "Options.Entra.Audiences"},
		{"Entra without principal", handler.Options{Entra: &handler.EntraOptions{TenantID: "t", Audiences: []string{"a"}}}, "Options.Entra.Principals"},
		{"Entra with bad address", handler.Options{Entra: &handler.EntraOptions{TenantID: "t", Audiences: []string{"a"}, Principals: []string{"p"}, JWKSURL: "file:///keys"}}, "JWKSURL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := handler.New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Without verification every event is accepted.
func TestSkipVerification(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) {
		o.ConnectionStrings, o.DangerouslySkipVerification = nil, true
	})
	h.OnEvent("message", replyText("ok"))
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil)
	r.Header.Del("ce-signature")
	r.Header.Del("WebHook-Request-Origin")
	wantStatus(t, handlertest.Do(h, r), 200)
	if got := handlertest.Do(h, handlertest.ValidationRequest("a.example")).Header.Get("WebHook-Allowed-Origin"); got != "*" {
		t.Errorf("allowed %q", got)
	}
}

// unreadBody fails the test when it is read.
type unreadBody struct{ t *testing.T }

func (b unreadBody) Read([]byte) (int, error) {
	b.t.Error("the body was read before the event was verified")
	return 0, io.EOF
}

func TestBodyNotReadBeforeVerification(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Hubs = []string{"chat"} })
	for name, change := range map[string]func(*http.Request){
		"signature":    func(r *http.Request) { r.Header.Set("ce-signature", "sha256=00") },
		"origin":       func(r *http.Request) { r.Header.Set("WebHook-Request-Origin", "x") },
		"hub":          func(r *http.Request) { r.Header.Set("ce-hub", "other") },
		"content type": func(r *http.Request) { r.Header.Set("Content-Type", "text/xml") },
		"length":       func(r *http.Request) { r.ContentLength = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			r := handlertest.Connect("chat", "conn1", nil)
			r.Body = io.NopCloser(unreadBody{t})
			change(r)
			if res := handlertest.Do(h, r); res.OK() {
				t.Errorf("status %d", res.Status)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	drop := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del(name) }
	}
	set := func(name, v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, v) }
	}
	twice := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(name, r.Header.Get(name)) }
	}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   int
		log    string
	}{
		{"nothing", func(*http.Request) {}, 200, "event handled"},
		{"no ce-awpsversion, as the Functions tests have it", drop("ce-awpsversion"), 200, ""},
		{"no ce-specversion", drop("ce-specversion"), 200, ""},
		{"no ce-id", drop("ce-id"), 200, ""},
		{"no ce-time", drop("ce-time"), 200, ""},
		{"no ce-source", drop("ce-source"), 200, ""},
		{"no ce-eventName, as the tests of web-pubsub-express", drop("ce-eventName"), 200, ""},
		{"no user", drop("ce-userId"), 200, ""},
		{"date of HTTP", set("ce-time", "Fri, 02 Jan 2026 03:04:05 GMT"), 200, ""},
		{"invalid time", set("ce-time", "yesterday"), 200, ""},
		{"a header that crashes the CloudEvents SDK", func(r *http.Request) { r.Header["Ce-"] = []string{"x"} }, 200, ""},
		{"an attribute that the CloudEvents SDK rejects", set("ce-foo-bar", "x"), 200, ""},
		{"a source with a bad escape", set("ce-source", "/hubs/chat/client/my%zz"), 200, ""},

		{"no connection id", drop("ce-connectionId"), 400, "ce-connectionId"},
		{"no hub", drop("ce-hub"), 400, "ce-hub"},
		{"no type", drop("ce-type"), 400, "ce-type"},
		{"specversion 0.3", set("ce-specversion", "0.3"), 400, "0.3"},
		{"type of another system", set("ce-type", "com.example.user.message"), 400, "azure.webpubsub"},
		{"type without event", set("ce-type", "azure.webpubsub.user."), 400, "azure.webpubsub"},
		{"unknown system event", set("ce-type", "azure.webpubsub.sys.upgraded"), 400, "unknown event type"},
		{"unknown kind", set("ce-type", "azure.webpubsub.box.opened"), 400, "unknown event type"},
		{"two connection ids", func(r *http.Request) { r.Header.Add("ce-connectionId", "conn2") }, 400, "more than once"},
		{"two users", twice("ce-userId"), 400, "more than once"},
		{"two types", twice("ce-type"), 400, "more than once"},
		{"two content types", twice("Content-Type"), 400, "more than once"},
		{"event without a callback", set("ce-type", "azure.webpubsub.user.unknown"), 404, "OnEvent"},
		{"hub that is not served", set("ce-hub", "other"), 404, "Options.Hubs"},
		{"unsupported content type", set("Content-Type", "application/xml"), 415, "application/xml"},
		{"invalid content type", set("Content-Type", "///"), 415, ""},
		{"body shorter than announced", func(r *http.Request) { r.ContentLength = 100 }, 400, "incomplete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, func(o *handler.Options) { o.Hubs = []string{"chat"} })
			h.OnEvent("message", replyText("ok"))
			r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), &handlertest.Options{UserID: "alice"})
			tt.change(r)
			wantStatus(t, handlertest.Do(h, r), tt.want)
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("the log lacks %q: %s", tt.log, log)
			}
		})
	}
}

func TestBodyLimit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		n      int
		length bool
		want   int
	}{
		{"at the limit", 10, true, 200},
		{"above", 11, true, 413},
		{"at the limit, chunked", 10, false, 200},
		{"above, chunked", 11, false, 413},
		{"empty", 0, true, 200},
		{"empty, chunked", 0, false, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := newHandler(t, func(o *handler.Options) { o.MaxBodyBytes = 10 })
			h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
				if len(e.Message.Data) != tt.n {
					t.Errorf("%d bytes arrived", len(e.Message.Data))
				}
				return &handler.EventResponse{Message: webpubsub.Text("ok")}, nil
			})
			r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text(strings.Repeat("x", tt.n)), nil)
			if !tt.length {
				r.ContentLength = -1
			}
			wantStatus(t, handlertest.Do(h, r), tt.want)
		})
	}

	// By default a full message of the service passes.
	h, _ := newHandler(t, nil)
	h.OnEvent("message", replyText("ok"))
	wantStatus(t, handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Binary(make([]byte, 1<<20)), nil)), 200)
	wantStatus(t, handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Binary(make([]byte, 2<<20)), nil)), 413)
}

// Ten thousand events that are forged or damaged: none reaches a callback, none
// crashes the handler, and every one is rejected with a 4xx.
func TestForgedEvents(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Hubs = []string{"chat"} })
	reached := errors.New("a forged event reached a callback")
	h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		t.Error(reached)
		return nil, reached
	})
	h.OnEvent("*", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		t.Error(reached)
		return nil, reached
	})
	for _, on := range []func(func(context.Context, *handler.GroupEvent) error){h.OnGroupJoined, h.OnGroupLeft} {
		on(func(context.Context, *handler.GroupEvent) error { t.Error(reached); return reached })
	}
	h.OnConnected(func(context.Context, *handler.ConnectedEvent) error { t.Error(reached); return reached })
	h.OnDisconnected(func(context.Context, *handler.DisconnectedEvent) error { t.Error(reached); return reached })

	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, rnd.IntN(n)+1)
		for i := range b {
			b[i] = byte(' ' + rnd.IntN(95))
		}
		return string(b)
	}
	events := []func(conn string) *http.Request{
		func(c string) *http.Request { return handlertest.Connect("chat", c, nil) },
		func(c string) *http.Request { return handlertest.Connected("chat", c, nil) },
		func(c string) *http.Request { return handlertest.Disconnected("chat", c, "", nil) },
		func(c string) *http.Request { return handlertest.GroupJoined("chat", c, "g", nil) },
		func(c string) *http.Request { return handlertest.GroupLeft("chat", c, "g", nil) },
		func(c string) *http.Request {
			return handlertest.UserEvent("chat", c, "message", webpubsub.Text("hi"), nil)
		},
	}
	damages := []func(r *http.Request, conn string){
		func(r *http.Request, _ string) { r.Header.Del("ce-signature") },
		func(r *http.Request, c string) { r.Header.Set("ce-signature", webhook.Signature(word(44), c)) },
		func(r *http.Request, c string) {
			r.Header.Set("ce-signature", webhook.Signature(handlertest.AccessKey, c+word(3)))
		},
		func(r *http.Request, c string) { // one bit of a good signature
			s := []byte(webhook.Signature(handlertest.AccessKey, c))
			i := 7 + rnd.IntN(64)
			for old := s[i]; s[i] == old; {
				s[i] = "0123456789abcdef"[rnd.IntN(16)]
			}
			r.Header.Set("ce-signature", string(s))
		},
		func(r *http.Request, _ string) { r.Header.Set("ce-signature", word(200)) },
		func(r *http.Request, c string) { r.Header.Set("ce-connectionId", c+word(5)) },
		func(r *http.Request, _ string) { r.Header.Add("ce-connectionId", word(20)) },
		func(r *http.Request, _ string) { r.Header.Del("ce-connectionId") },
		func(r *http.Request, _ string) { r.Header.Set("WebHook-Request-Origin", word(30)+".example") },
		func(r *http.Request, _ string) { r.Header.Del("WebHook-Request-Origin") },
		func(r *http.Request, _ string) { r.Header.Set("ce-type", word(40)) },
		func(r *http.Request, _ string) { r.Header.Set("ce-type", "azure.webpubsub.sys."+word(10)) },
		func(r *http.Request, _ string) { r.Header.Del("ce-type") },
		func(r *http.Request, _ string) { r.Header.Set("ce-hub", "x"+word(10)) },
		func(r *http.Request, _ string) { r.Header.Del("ce-hub") },
		func(r *http.Request, _ string) { r.Header.Set("Content-Type", "x/"+word(20)) },
		func(r *http.Request, _ string) { r.ContentLength = 1 << 40 },
		func(r *http.Request, _ string) { r.ContentLength++ },
		func(r *http.Request, _ string) { r.Method = word(6) },
	}
	for i := range 10_000 {
		conn := fmt.Sprintf("conn%d", i)
		r := events[rnd.IntN(len(events))](conn)
		which := rnd.IntN(len(damages))
		damages[which](r, conn)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 400 || w.Code > 499 {
			t.Fatalf("damage %d: status %d for %v", which, w.Code, r.Header)
		}
	}
}

// A flood of 100,000 forged events wrote 36 MB of log. Of each kind ten records
// in ten seconds are logged and the others counted: nothing is left out unseen.
func TestLogUnderAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Buffer{}
		h, _ := newHandler(t, func(o *handler.Options) {
			o.Hubs, o.Logger = []string{"chat"}, slog.New(slog.NewTextHandler(log, nil))
		})
		h.OnEvent("*", fail(handler.Reject(400, "not today")))
		event := func(i int, name string) *http.Request {
			return handlertest.UserEvent("chat", fmt.Sprint("conn", i), name, webpubsub.Text("x"), nil)
		}
		attacks := map[string]func(i int) *http.Request{
			"ce-signature does not match": func(i int) *http.Request {
				r := event(i, "message")
				r.Header.Set("ce-signature", webhook.Signature("guess", "x"))
				return r
			},
			"is not an allowed origin": func(i int) *http.Request {
				r := event(i, "message")
				r.Header.Set("WebHook-Request-Origin", fmt.Sprint("host", i, ".example"))
				return r
			},
			"no WebHook-Request-Origin": func(int) *http.Request { return httptest.NewRequest(http.MethodOptions, "/", nil) },
			"method is not allowed":     func(i int) *http.Request { return httptest.NewRequest(fmt.Sprint("M", i), "/", nil) },
			// Of clients, whose events are genuine.
			"event type": func(i int) *http.Request {
				r := event(i, "message")
				r.Header.Set("ce-type", fmt.Sprint("azure.webpubsub.sys.e", i))
				return r
			},
			"rejected the event": func(i int) *http.Request { return event(i, fmt.Sprint("name", i)) },
		}
		const n = 12_000
		for what, attack := range attacks {
			for i := range n / len(attacks) {
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, attack(i)); w.Code < 400 || w.Code > 499 {
					t.Fatalf("%s: status %d", what, w.Code)
				}
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(log.String()); n > 30_000 {
			t.Errorf("the log has %d bytes", n)
		}
		for what := range attacks {
			if c := strings.Count(log.String(), what); c < 10 || c > 11 {
				t.Errorf("%d records with %q", c, what)
			}
		}
		suppressed := 0
		for _, m := range regexp.MustCompile(`msg="similar log records suppressed".* count=(\d+)`).FindAllStringSubmatch(log.String(), -1) {
			c, _ := strconv.Atoi(m[1])
			suppressed += c
		}
		if want := (n/len(attacks) - 10) * len(attacks); suppressed != want {
			t.Errorf("%d suppressed, want %d", suppressed, want)
		}
	})
}

// Untrusted text is truncated in the log.
func TestLogIsShort(t *testing.T) {
	h, log := newHandler(t, nil)
	long := strings.Repeat("x", 100_000)
	for _, name := range []string{"WebHook-Request-Origin", "ce-hub", "ce-connectionId", "ce-type", "Content-Type"} {
		r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), nil)
		if name == "ce-connectionId" {
			r = handlertest.UserEvent("chat", long, "message", webpubsub.Text("x"), nil)
		}
		r.Header.Set(name, long)
		if res := handlertest.Do(h, r); res.Status < 400 {
			t.Errorf("%s: status %d", name, res.Status)
		}
	}
	if n := len(log.String()); n > 10_000 {
		t.Errorf("the log has %d bytes", n)
	}
}
