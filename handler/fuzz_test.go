package handler_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

func quiet(o *handler.Options) { o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil)) }

// FuzzEvent sends whatever past verification: the handler may refuse it, but it
// must neither crash nor fail.
func FuzzEvent(f *testing.F) {
	f.Add("azure.webpubsub.user.message", "conn1", "chat", "text/plain", "Ce-Foo", "x", []byte("hello"))
	f.Add("azure.webpubsub.user.e", "my%zz", "chat", "///", "Ce-Physicalconnectionid", "p", []byte{0xff})
	f.Add("azure.webpubsub.sys.connect", "conn1", "chat", "application/json", "Ce-", "", []byte(`{"claims":{"a":["b"]},"query":{"":[]},"headers":{"x y":["1"]},"mqtt":{"password":"eA=="}}`))
	f.Add("azure.webpubsub.sys.disconnected", "conn1", "chat", "application/json", "Mqtt-A", "b", []byte(`{"reason":null,"mqtt":{"disconnectPacket":{}}}`))
	f.Add("azure.webpubsub.gp.joined", "conn1", "chat", "application/json", "X-Webpubsub-Metadata-A", "b", []byte(`{"group":"g"}`))
	f.Add("azure.webpubsub.sys.connected", "conn1", "chat", "", "Ce-Time", "0000", []byte(nil))
	h, err := handler.New(handler.Options{DangerouslySkipVerification: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		f.Fatal(err)
	}
	look := func(e *handler.Event) {
		// An error is a fair answer, a crash is not. What it calls valid must be
		// JSON.
		if ce, err := e.CloudEvent(); err == nil {
			if b, err := ce.MarshalJSON(); err != nil || !json.Valid(b) {
				panic("CloudEvent is not JSON: " + string(b))
			}
		}
		e.State().Keys()
	}
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		look(&r.Event)
		for _, c := range r.ClientCertificates {
			_, _ = c.Parse() // may fail
		}
		return &handler.ConnectResponse{UserID: r.Claims.Get("sub")}, nil
	})
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		look(&e.Event)
		return webpubsub.Binary(e.Message.Data), nil
	})
	onNotification(h, func(e *handler.Event, _ string) error { look(e); return nil })
	f.Fuzz(func(t *testing.T, typ, conn, hub, contentType, key, value string, body []byte) {
		r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Binary(body), nil)
		r.Header["Ce-Type"] = []string{typ}
		r.Header["Ce-Connectionid"] = []string{conn}
		r.Header["Ce-Hub"] = []string{hub}
		r.Header["Content-Type"] = []string{contentType}
		r.Header[key] = []string{value}
		res := handlertest.Do(h, r)
		switch res.Status {
		case 200, 204, 400, 404, 413, 415:
		default:
			t.Errorf("status %d: %s", res.Status, res.Body)
		}
	})
}

// FuzzSignature compares with the obvious reading of the rule: some entry of
// some line is the signature.
func FuzzSignature(f *testing.F) {
	good := handler.Signature(handlertest.AccessKey, "conn1")
	f.Add(good, "", "conn1")
	f.Add("sha256=00,"+good, "x", "conn1")
	f.Add(strings.ToUpper(good), ", ,", "conn1")
	f.Add(good[:70], good[1:], "conn1")
	f.Add(good, good, "conn2")
	h, _ := newHandler(f, quiet)
	h.OnEvent("message", replyText("ok"))
	f.Fuzz(func(t *testing.T, line1, line2, conn string) {
		if conn == "" {
			return
		}
		r := handlertest.UserEvent("chat", conn, "message", webpubsub.Text("x"), nil)
		r.Header["Ce-Signature"] = []string{line1, line2}
		want := 401
		for _, entry := range strings.Split(line1+","+line2, ",") {
			if strings.EqualFold(strings.TrimSpace(entry), handler.Signature(handlertest.AccessKey, conn)) {
				want = 200
			}
		}
		if res := handlertest.Do(h, r); res.Status != want {
			t.Errorf("status %d, want %d", res.Status, want)
		}
	})
}

// FuzzPreflight: whatever is asked for, nothing but the configured host is
// allowed, and only when it was asked for.
func FuzzPreflight(f *testing.F) {
	for _, s := range []string{"localhost", "LOCALHOST:8080", "a, localhost", "localhost.evil", "[localhost]", "[::1]:1", ":", "[", "*", ", \t"} {
		f.Add(s, "")
		f.Add("x", s)
	}
	host := regexp.MustCompile(`^(?i:localhost)(:[0-9]*)?$`)
	h, _ := newHandler(f, quiet)
	f.Fuzz(func(t *testing.T, line1, line2 string) {
		r := handlertest.Preflight()
		r.Header["Webhook-Request-Origin"] = []string{line1, line2}
		res := handlertest.Do(h, r)
		asked := strings.FieldsFunc(line1+","+line2, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		allowed := res.Header["Webhook-Allowed-Origin"]
		if res.OK() != (len(allowed) > 0) {
			t.Errorf("status %d, allowed %q", res.Status, allowed)
		}
		for _, a := range allowed {
			if !host.MatchString(a) || !slices.Contains(asked, a) {
				t.Errorf("%q was allowed for %q", a, asked)
			}
		}
	})
}

// FuzzState: any header can be read, and what is written reads back.
func FuzzState(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"a":"MQ=="}`, `[]`, `{"a":{"b":[]}} `, `{"\ud800":1}`, "\xff", `{"":""}`} {
		f.Add(b64(s), "k", "v")
	}
	f.Add("???", "", "")
	h, _ := newHandler(f, quiet)
	var key, value string
	var before, after []string
	var set error
	h.OnEvent("write", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		before = e.State().Keys()
		set = e.State().Set(key, value)
		return webpubsub.Message{}, nil
	})
	var got string
	h.OnEvent("read", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		after = e.State().Keys()
		_, err := e.State().Get(key, &got)
		return webpubsub.Message{}, err
	})
	f.Fuzz(func(t *testing.T, header, k, v string) {
		k, v = strings.ToValidUTF8(k, "?"), strings.ToValidUTF8(v, "?")
		key, value = k, v
		event := func(name, header string) *handlertest.Response {
			r := handlertest.UserEvent("chat", "c", name, webpubsub.Text("x"), nil)
			r.Header["Ce-Connectionstate"] = []string{header}
			return handlertest.Do(h, r)
		}
		res := event("write", header)
		if set != nil {
			return // too large
		}
		out := res.Header.Get("ce-connectionState")
		if b, err := base64.StdEncoding.DecodeString(out); err != nil || !json.Valid(b) {
			t.Fatalf("wrote %q", out)
		}
		if res := event("read", out); res.Status != http.StatusNoContent || got != v {
			t.Errorf("status %d, read %q, want %q", res.Status, got, v)
		}
		if !slices.Contains(before, k) {
			before = append(before, k)
		}
		if !slices.Equal(before, after) {
			t.Errorf("keys %q, want %q", after, before)
		}
	})
}

// FuzzBearer: no text is a token.
func FuzzBearer(f *testing.F) {
	good := signed(f, "k1", goodClaims())
	f.Add("Bearer " + good[:len(good)-1] + "x")
	f.Add("bearer a.b.c")
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.")
	f.Add("")
	h, _ := newHandler(f, func(o *handler.Options) {
		quiet(o)
		o.ConnectionStrings, o.AllowedOrigins = nil, []string{"localhost"}
		o.Entra = entraOptions(&keyServer{kids: []string{"k1"}})
	})
	h.OnEvent("message", replyText("ok"))
	f.Fuzz(func(t *testing.T, auth string) {
		if strings.Contains(auth, good) {
			return
		}
		r := bearerEvent("")
		r.Header["Authorization"] = []string{auth}
		wantStatus(t, handlertest.Do(h, r), 401)
	})
}
