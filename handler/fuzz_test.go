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
	"example.com/webpubsub/internal/webhook"
)

func quiet(o *handler.Options) { o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil)) }

// FuzzEvent: the handler rejects or handles any event, but it does not crash or
// fail.
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
		// An error is fine, a crash is not. A valid event must encode as JSON.
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
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		look(&e.Event)
		return &handler.EventResponse{Message: webpubsub.Binary(e.Message.Data)}, nil
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
	good := webhook.Signature(handlertest.AccessKey, "conn1")
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
			if strings.EqualFold(strings.TrimSpace(entry), webhook.Signature(handlertest.AccessKey, conn)) {
				want = 200
			}
		}
		if res := handlertest.Do(h, r); res.Status != want {
			t.Errorf("status %d, want %d", res.Status, want)
		}
	})
}

// FuzzPreflight: only the configured host is allowed, and only if the request
// contains it.
func FuzzPreflight(f *testing.F) {
	for _, s := range []string{"localhost", "LOCALHOST:8080", "a, localhost", "localhost.evil", "[localhost]", "[::1]:1", ":", "[", "*", ", \t"} {
		f.Add(s, "")
		f.Add("x", s)
	}
	host := regexp.MustCompile(`^(?i:localhost)(:[0-9]*)?$`)
	h, _ := newHandler(f, quiet)
	f.Fuzz(func(t *testing.T, line1, line2 string) {
		r := handlertest.ValidationRequest()
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

// FuzzState: any header can be read, and what is written can be read.
func FuzzState(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"a":"MQ=="}`, `[]`, `{"a":{"b":[]}} `, `{"\ud800":1}`, "\xff", `{"":""}`} {
		f.Add(b64(s), "k", "v")
	}
	f.Add("???", "", "")
	h, _ := newHandler(f, quiet)
	var key, value string
	var before, after []string
	h.OnEvent("write", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		before = e.State().Keys()
		return &handler.EventResponse{State: map[string]any{key: value}}, nil
	})
	var got string
	h.OnEvent("read", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		after = e.State().Keys()
		_, err := e.State().Get(key, &got)
		return nil, err
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
		if res.Status == 500 && len(header)+len(k)+len(v) > handler.MaxStateSize/8 {
			return // the state is too large
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

// FuzzBearer: no other text is accepted as a token.
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

// FuzzConnect: a connect event with any body is rejected or handled: no token is
// left in the query, and the client's headers are found by their names.
func FuzzConnect(f *testing.F) {
	f.Add([]byte(`{"claims":{"sub":["a"]},"query":{"q":["1"],"Access_Token":["t"]},"headers":{"x-a":["1"],"X-A":["2"]},"subprotocols":["p"],"clientCertificates":[{"thumbprint":"t","content":"c"}]}`))
	f.Add([]byte(`{"query":null,"headers":null,"mqtt":{"protocolVersion":5,"username":null,"password":"cA==","userProperties":[{"name":"a","value":"b"}]}}`))
	f.Add([]byte(`{"mqtt":{"protocolVersion":1e9}}`))
	f.Add([]byte(`{"headers":{"":[],"a b":null,"\u00e9":["x"]}}`))
	f.Add([]byte(`[]`))
	h, err := handler.New(handler.Options{DangerouslySkipVerification: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		f.Fatal(err)
	}
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		for k := range r.Query {
			if strings.EqualFold(k, "access_token") {
				panic("the token was left")
			}
		}
		for k, v := range r.Headers {
			if got := r.Headers.Values(k); len(got) != len(v) {
				panic("not found: " + k)
			}
		}
		if r.Claims.Get("reject") != "" {
			return nil, handler.Reject(403, r.Claims.Get("reject"))
		}
		return &handler.ConnectResponse{UserID: r.Claims.Get("sub"), Groups: r.Query["group"]}, nil
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := handlertest.Connect("chat", "conn1", nil)
		res := handlertest.Do(h, withBody(r, string(body)))
		switch res.Status {
		case 200, 204, 400, 403:
			wantASCII(t, res)
		case 500: // a group name that the service rejects
			if !strings.Contains(string(body), "group") {
				t.Errorf("status 500 for %q", body)
			}
		default:
			t.Errorf("status %d", res.Status)
		}
	})
}

// FuzzReply: for any result of a callback, the response is one that the service
// and the Azure Functions host accept: its headers are printable ASCII.
func FuzzReply(f *testing.F) {
	f.Add([]byte("a"), "key", "value", "property", "value", "text/plain")
	f.Add([]byte("a"), "K", "a,b", "ü", "ü", "text/ü")
	f.Add([]byte("a"), "a\r\nb", "\n", "p", "\x00", "\r\n")
	h, _ := newHandler(f, quiet)
	var m webpubsub.Message
	var property handler.MQTTUserProperty
	var contentType string
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{
			Message: m,
			State:   map[string]any{property.Name: property.Value},
			MQTT:    &handler.MQTTEventResponse{ContentType: contentType, UserProperties: []handler.MQTTUserProperty{property}},
		}, nil
	})
	f.Fuzz(func(t *testing.T, data []byte, key, value, name, text, media string) {
		m = webpubsub.Binary(data).WithMetadata(key, value)
		property, contentType = handler.MQTTUserProperty{Name: name, Value: text}, media
		res := handlertest.Do(h, handlertest.UserEvent("chat", "c", "e", webpubsub.Text("x"), &handlertest.Options{PhysicalConnectionID: "p"}))
		if wantASCII(t, res); res.Status != 200 && res.Status != 500 {
			t.Errorf("status %d", res.Status)
		}
	})
}

// wantASCII checks the headers of a response: the Azure Functions host turns a
// response with another one into a 500.
func wantASCII(t *testing.T, res *handlertest.Response) {
	t.Helper()
	for k, values := range res.Header {
		for _, s := range append(values, k) {
			if strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }) {
				t.Errorf("header %q: %q", k, s)
			}
		}
	}
}

// FuzzClientCertificate: a client certificate parses or is an error.
func FuzzClientCertificate(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----")
	f.Add("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
	f.Add("")
	f.Fuzz(func(t *testing.T, content string) {
		cert, err := handler.ClientCertificate{Content: content}.Parse()
		if (cert == nil) == (err == nil) {
			t.Errorf("%v, %v", cert, err)
		}
	})
}

// FuzzKeySet: with any other key set than Entra's, a token is rejected with 401 or
// 503.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"k1","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","kid":"k1","k":"AQAB","alg":"HS256"},{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"k1","n":"","e":"","x5c":["AAAA"]}]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Add([]byte(`[`))
	token := signed(f, "k1", goodClaims())
	f.Fuzz(func(t *testing.T, keys []byte) {
		o := entraOptions(nil)
		o.HTTPClient.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(keys))), Request: r}, nil
		})
		h, err := handler.New(handler.Options{AllowedOrigins: []string{"localhost"}, Entra: o, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if res := handlertest.Do(h, bearerEvent(token)); res.Status != 401 && res.Status != 503 {
			t.Errorf("status %d", res.Status)
		}
	})
}
