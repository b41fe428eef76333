package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"example.com/webpubsub/internal/upstream"
)

// hostile is an event handler that passes validation and then writes what it
// wants in place of a response.
func hostile(t *testing.T, respond func(c net.Conn)) upstream.Handler {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(c))
			switch {
			case err != nil:
			case r.Method == http.MethodOptions:
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			default:
				respond(c)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return upstream.Handler{URL: "http://" + l.Addr().String() + "/", UserEvents: "*"}
}

// endless writes s until the other side gives up.
func endless(head, s string) func(net.Conn) {
	return func(c net.Conn) {
		_, err := io.WriteString(c, head)
		for err == nil {
			_, err = io.WriteString(c, s)
		}
	}
}

func text(s string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, s) }
}

// An event handler that does not respond in HTTP, or without end, fails the one
// event, within the bounds of the package, and leaves nothing behind: TestMain looks
// for goroutines.
func TestHostileHandler(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	many := strings.Repeat("Set-Cookie: a=1\r\n", 2000)
	for name, tt := range map[string]struct {
		respond func(net.Conn)
		want    string // part of the error; empty if the event succeeds
		body    string
	}{
		"nothing":                  {text(""), "request failed", ""},
		"garbage":                  {text("\x00\xff\x16\x03\x01"), "request failed", ""},
		"an endless line":          {endless("", strings.Repeat("x", 4096)), "request failed", ""},
		"HTTP/0.9":                 {text("hello"), "request failed", ""},
		"no status":                {text("HTTP/1.1\r\n\r\n"), "request failed", ""},
		"a status of five digits":  {text("HTTP/1.1 20000 OK\r\n\r\n"), "request failed", ""},
		"status 99":                {text("HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"), "", "099"},
		"endless headers":          {endless(ok, "X-Header: "+strings.Repeat("x", 1000)+"\r\n"), "request failed", ""},
		"an endless header":        {endless(ok+"X-Header: ", strings.Repeat("x", 4096)), "request failed", ""},
		"endless interim":          {endless("", "HTTP/1.1 102 Processing\r\n\r\n"), "request failed", ""},
		"a header without a colon": {text(ok + "oops\r\n\r\n"), "request failed", ""},
		"two lengths":              {text(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "request failed", ""},
		"a negative length":        {text(ok + "Content-Length: -1\r\n\r\n"), "request failed", ""},
		"a length beyond 64 bits":  {text(ok + "Content-Length: 99999999999999999999\r\n\r\n"), "request failed", ""},
		"a body that is too short": {text(ok + "Content-Length: 10\r\n\r\nhalf"), "reading the response body", ""},
		"an endless body":          {endless(ok+"\r\n", strings.Repeat("x", 1<<16)), "more than 16 MiB", ""},
		"endless chunks":           {endless(ok+"Transfer-Encoding: chunked\r\n\r\n", "10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n"), "more than 16 MiB", ""},
		"an odd chunk":             {text(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "reading the response body", ""},
		"an endless chunk header":  {endless(ok+"Transfer-Encoding: chunked\r\n\r\n1;", strings.Repeat("x", 4096)), "reading the response body", ""},
		"compressed":               {text(ok + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"), "", "\x1f\x8b"}, // never asked for, never unpacked
		"2,000 cookies":            {text(ok + many + "Content-Length: 0\r\n\r\n"), "", ""},
		"endless redirects":        {text("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), "redirects are not followed", ""},
		"more than the length":     {text(ok + "Content-Length: 1\r\n\r\nabc"), "", "a"},
		"an upgrade":               {text("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "only 2xx", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, r := start(t, upstream.Options{})
			res, err := d.Deliver(t.Context(), []upstream.Handler{hostile(t, tt.respond)}, hello())
			if tt.body == "099" { // a legal number that means nothing
				tt.want, tt.body = "only 2xx", ""
			}
			switch {
			case tt.want == "" && (err != nil || string(res.Body) != tt.body):
				t.Errorf("Deliver = %q, %v, want %q", res.Body, err, tt.body)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Deliver = %v, want an error with %q", err, tt.want)
			}
			if n := len(r.methods()); n > 1+upstream.MaxAttempts {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// A handler that sends one byte now and then would keep a client waiting for ever:
// the limit of 100 seconds holds for the body, too.
func TestBodyThatTrickles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := upstream.New(upstream.Options{Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			res := answer(r, 200, "WebHook-Allowed-Origin", "*")
			if r.Method == http.MethodPost {
				res.Body = &trickle{r.Context()}
			}
			return res, nil
		})}})
		defer d.Close()
		begin := time.Now()
		_, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, hello())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Second {
			t.Errorf("Deliver = %v after %v, want a timeout after 100s", err, time.Since(begin))
		}
	})
}

// trickle is a body of one byte every ten seconds.
type trickle struct{ ctx context.Context }

func (b *trickle) Read(p []byte) (int, error) {
	select {
	case <-time.After(10 * time.Second):
		p[0] = 'x'
		return 1, nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func (b *trickle) Close() error { return nil }

// The origin comes from clients. However many there are, what is remembered of
// validations is bounded, and the handler is not asked again for one that is known.
func TestManyOrigins(t *testing.T) {
	asked := make(map[string]int)
	d, _ := start(t, upstream.Options{Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodOptions {
			//lint:ignore SA1008 the name is sent in this spelling
			asked[r.Header["WebHook-Request-Origin"][0]]++
		}
		return answer(r, 200, "WebHook-Allowed-Origin", "*"), nil
	})}})
	e := hello()
	for i := range 3000 {
		e.Origin = fmt.Sprintf("h%d.example", i)
		for range 2 {
			if _, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := d.Validations(); n > 1000 {
		t.Errorf("%d validations are remembered", n)
	}
	for origin, n := range asked {
		if n != 1 {
			t.Fatalf("%s was asked for %d times", origin, n)
		}
	}
	if len(asked) != 3000 {
		t.Errorf("%d preflights", len(asked))
	}
}

// FuzzResponse: whatever bytes a handler responds with, the delivery ends, with an
// error or with something that can be used.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nce-connectionState: s\r\nSet-Cookie: a=1; Path=/; Expires=x\r\nX-WebPubSub-Metadata-K: 1, 2\r\n\r\n{}",
		"HTTP/1.1 401 Unauthorized\r\n\r\n{\"mqtt\":{\"code\":135,\"reason\":\"no\",\"userProperties\":[{\"name\":\"a\",\"value\":\"b\"}]}}",
		"HTTP/1.1 302 Found\r\nLocation: //u:p@[::1%25eth]:x/%zz?code=secret\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nmqtt-a: 1\r\nmqtt-: 2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: x\r\n\r\n",
		"HTTP/1.0 204 \r\nSet-Cookie: =;;; Domain=.; Max-Age=99999999999999999999\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		d, _ := start(t, upstream.Options{Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodOptions {
				return answer(r, 200, "WebHook-Allowed-Origin", "*"), nil
			}
			return http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), r)
		})}})
		defer d.Close()
		e := hello()
		for range 2 { // with the cookies and the state of the first response
			res, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, e)
			var refused *upstream.StatusError
			if errors.As(err, &refused) && strings.ContainsAny(refused.Location, "?#@") {
				t.Errorf("the error shows the query or the user of a redirect: %v", err)
			}
			if refused != nil && (len(refused.Text) > 210 || !utf8.ValidString(refused.Text)) {
				t.Errorf("the error has %d bytes of the response: %q", len(refused.Text), refused.Text)
			}
			_, _ = upstream.ParseMQTTRejection(res.Body)
			if err != nil {
				return
			}
			for _, p := range res.MQTTProperties() {
				if p.Name == "" || strings.ToLower(p.Name) != p.Name {
					t.Errorf("property %q", p.Name)
				}
			}
			if _, err := res.Message(); err == nil && slices.ContainsFunc(res.Header.Values("Content-Type"), func(s string) bool { return s == "image/png" }) && len(res.Body) > 0 {
				t.Error("an image has become a message")
			}
			e.Cookies, e.State = res.Cookies, res.State
		}
	})
}
