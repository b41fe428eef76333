package handler_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// changeState sends a user event with a connection state, changes it, and returns
// the state header of the response, if there is one.
func changeState(t testing.TB, header string, changes map[string]any) (string, bool) {
	t.Helper()
	v, ok := respondToState(t, nil, header, 204, func(*handler.ConnectionState) map[string]any { return changes })
	return v, ok
}

// readState passes the state of a user event to f.
func readState(t testing.TB, header string, f func(*handler.ConnectionState)) {
	t.Helper()
	respondToState(t, nil, header, 204, func(s *handler.ConnectionState) map[string]any { f(s); return nil })
}

func respondToState(t testing.TB, change func(*handler.Options), header string, status int, f func(*handler.ConnectionState) map[string]any) (string, bool) {
	t.Helper()
	h, _ := newHandler(t, change)
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{State: f(e.State())}, nil
	})
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), nil)
	if header != "" {
		r.Header.Set("ce-connectionState", header)
	}
	res := handlertest.Do(h, r)
	wantStatus(t, res, status)
	v, ok := res.Header["Ce-Connectionstate"]
	if !ok {
		return "", false
	}
	return v[0], true
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestStateChanges(t *testing.T) {
	const two = `{"key1":"val1","key2":{"n":1}}`
	var none *int
	for _, tt := range []struct {
		name    string
		have    string
		changes map[string]any
		want    string // "" for no header
	}{
		{"none", two, nil, ""},
		{"empty", two, map[string]any{}, ""},
		{"new", "", map[string]any{"key2": "val2", "key3": "", "key1": []string{"val3"}}, `{"key1":["val3"],"key2":"val2","key3":""}`},
		{"update", two, map[string]any{"key1": 2}, `{"key1":2,"key2":{"n":1}}`},
		{"add", two, map[string]any{"key0": 3}, `{"key1":"val1","key2":{"n":1},"key0":3}`},
		{"null", two, map[string]any{"key1": json.RawMessage("null")}, `{"key1":null,"key2":{"n":1}}`},
		{"nil pointer", two, map[string]any{"key1": none}, `{"key1":null,"key2":{"n":1}}`},
		{"delete", two, map[string]any{"key1": nil}, `{"key2":{"n":1}}`},
		{"delete and add", two, map[string]any{"key1": nil, "key2": nil, "key3": 3}, `{"key3":3}`},
		// .NET omits the header in this case, so that the service keeps the old state.
		{"delete all", two, map[string]any{"key1": nil, "key2": nil}, `{}`},
		{"delete an unknown key", two, map[string]any{"key9": nil}, two},
		{"HTML is not escaped", "", map[string]any{"<k>": "<&>"}, `{"<k>":"<&>"}`},
		{"duplicate keys, the last wins", `{"a":1,"b":2,"a":3}`, map[string]any{"c": 4}, `{"a":3,"b":2,"c":4}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := ""
			if tt.have != "" {
				header = b64(tt.have)
			}
			got, ok := changeState(t, header, tt.changes)
			want := ""
			if tt.want != "" {
				want = b64(tt.want)
			}
			if got != want || ok != (want != "") {
				decoded, _ := base64.StdEncoding.DecodeString(got)
				t.Errorf("header %s, want %s", decoded, tt.want)
			}
		})
	}
}

// What is not a JSON object in base64 reads as empty, as in the official
// libraries, and can be replaced.
func TestStateUnreadable(t *testing.T) {
	for _, header := range []string{
		"???", "e30", b64(`[1]`), b64(`null`), b64(`"x"`), b64(`{"a":`), b64(`{} {}`), b64(`1`), b64("\xff"),
		b64(strings.Repeat(`{"a":`, 20000)),
	} {
		readState(t, header, func(s *handler.ConnectionState) {
			if len(s.Keys()) != 0 || s.Raw() != header {
				t.Errorf("%.20q: keys %v, raw %.20q", header, s.Keys(), s.Raw())
			}
		})
		if got, _ := changeState(t, header, map[string]any{"a": 1}); got != b64(`{"a":1}`) {
			t.Errorf("%.20q: %s", header, got)
		}
	}
}

func TestStateGet(t *testing.T) {
	type session struct {
		Room string `json:"room"`
		N    int    `json:"n"`
	}
	// The first half is what web-pubsub-express writes, the second what .NET does.
	header := b64(`{"text":"val3","n":7,"session":{"room":"a","n":1},"list":["x"],"null":null,` +
		`"netText":"` + b64("hello") + `","netNumber":"` + b64("7") + `","netSession":"` + b64(`{"room":"b","n":2}`) + `"}`)
	readState(t, header, func(s *handler.ConnectionState) {
		var text string
		var n int
		var v session
		var list []string
		var raw json.RawMessage
		var b []byte
		check := func(key string, p any, want func() bool) {
			t.Helper()
			if found, err := s.Get(key, p); !found || err != nil || !want() {
				t.Errorf("%s: %v %v %+v", key, found, err, p)
			}
		}
		check("text", &text, func() bool { return text == "val3" })
		check("n", &n, func() bool { return n == 7 })
		check("session", &v, func() bool { return v == session{"a", 1} })
		check("list", &list, func() bool { return slices.Equal(list, []string{"x"}) })
		check("session", &raw, func() bool { return string(raw) == `{"room":"a","n":1}` })
		check("netText", &b, func() bool { return string(b) == "hello" })
		n = 0
		check("netNumber", &n, func() bool { return n == 7 })
		check("netSession", &v, func() bool { return v == session{"b", 2} })

		if found, err := s.Get("nope", &n); found || err != nil {
			t.Errorf("missing key: %v %v", found, err)
		}
		if found, err := s.Get("text", &n); !found || err == nil || !strings.Contains(err.Error(), `"text"`) {
			t.Errorf("wrong type: %v %v", found, err)
		}
		if found, err := s.Get("netText", &v); !found || err == nil {
			t.Errorf("wrong type: %v %v", found, err)
		}
	})
}

// The .NET library reads a state as empty unless every value is the base64 of
// bytes, and reads JSON from those.
func TestStateForDotNet(t *testing.T) {
	dotNet := func(o *handler.Options) { o.DotNetStateFormat = true }
	type session struct {
		Room string `json:"room"`
	}
	header, _ := respondToState(t, dotNet, "", 204, func(*handler.ConnectionState) map[string]any {
		return map[string]any{"bytes": []byte("1"), "n": 1, "text": "hi", "session": session{"a"}}
	})
	if want := b64(`{"bytes":"` + b64("1") + `","n":"` + b64("1") + `","session":"` + b64(`{"room":"a"}`) + `","text":"` + b64(`"hi"`) + `"}`); header != want {
		t.Errorf("header %s, want %s", header, want)
	}
	read := func(s *handler.ConnectionState) map[string]any {
		t.Helper()
		var b []byte
		var n int
		var text string
		var v session
		for key, p := range map[string]any{"bytes": &b, "n": &n, "text": &text, "session": &v} {
			if ok, err := s.Get(key, p); !ok || err != nil {
				t.Errorf("%s: %v, %v", key, ok, err)
			}
		}
		if string(b) != "1" || n != 1 || text != "hi" || v.Room != "a" {
			t.Errorf("read %q %d %q %v", b, n, text, v)
		}
		return nil
	}
	respondToState(t, dotNet, header, 204, read)
	// Text without quotes, as BinaryData.FromString creates it, and what JavaScript
	// writes.
	respondToState(t, dotNet, b64(`{"bytes":"`+b64("1")+`","n":1,"text":"`+b64("hi")+`","session":{"room":"a"}}`), 204, read)

	// []byte is the same in both formats.
	if header, _ = changeState(t, "", map[string]any{"b": []byte("1")}); header != b64(`{"b":"MQ=="}`) {
		t.Errorf("header %s", header)
	}
}

func TestStateValue(t *testing.T) {
	readState(t, b64(`{"visits":2,"tags":["a"]}`), func(s *handler.ConnectionState) {
		if n, err := handler.StateValue[int](s, "visits"); n != 2 || err != nil {
			t.Errorf("visits %d, %v", n, err)
		}
		if got, err := handler.StateValue[[]string](s, "tags"); !slices.Equal(got, []string{"a"}) || err != nil {
			t.Errorf("tags %v, %v", got, err)
		}
		if n, err := handler.StateValue[int](s, "unknown"); n != 0 || err != nil {
			t.Errorf("unknown key: %d, %v", n, err)
		}
		if _, err := handler.StateValue[int](s, "tags"); err == nil || !strings.Contains(err.Error(), `"tags"`) {
			t.Errorf("wrong type: %v", err)
		}
	})
}

// A state that cannot be stored fails the event, and its response has no state.
func TestStateLimits(t *testing.T) {
	header := b64(`{"small":1}`)
	// 3072 bytes of JSON make 4096 of base64.
	rest := strings.Repeat("x", 3072-len(`{"small":1,"rest":""}`))
	if got, _ := changeState(t, header, map[string]any{"rest": rest}); len(got) != handler.MaxStateSize {
		t.Errorf("header of %d bytes", len(got))
	}
	for name, changes := range map[string]map[string]any{
		"exceeds 4 KiB":    {"rest": rest + "x"},
		"unsupported type": {"small": 2, "chan": make(chan int)},
	} {
		h, log := newHandler(t, nil)
		h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return &handler.EventResponse{Message: webpubsub.Text("not sent"), State: changes}, nil
		})
		h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
			return &handler.ConnectResponse{UserID: "not sent", State: changes}, nil
		})
		user := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), nil)
		user.Header.Set("ce-connectionState", header)
		connect := handlertest.Connect("chat", "conn1", nil)
		connect.Header.Set("ce-connectionState", header)
		for _, res := range []*handlertest.Response{handlertest.Do(h, user), handlertest.Do(h, connect)} {
			if wantStatus(t, res, 500); strings.Contains(string(res.Body), "not sent") || res.Header.Get("ce-connectionState") != "" {
				t.Errorf("%s: body %q, header %v", name, res.Body, res.Header)
			}
		}
		for _, field := range []string{"EventResponse.State: ", "ConnectResponse.State: "} {
			if !strings.Contains(log.String(), field) || !strings.Contains(log.String(), name) {
				t.Errorf("log: %s", log)
			}
		}
	}
}

func TestStateOnConnect(t *testing.T) {
	h, _ := newHandler(t, nil)
	h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{State: map[string]any{"room": "lobby"}}, nil
	})
	res := handlertest.Do(h, handlertest.Connect("chat", "conn1", nil))
	wantStatus(t, res, 204)
	if s, ok := res.State(); !ok || string(s["room"]) != `"lobby"` {
		t.Errorf("%v %v", s, ok)
	}
}

// The state of an event that does not come from a handler is empty.
func TestStateZero(t *testing.T) {
	var e handler.UserEvent
	if found, err := e.State().Get("k", new(int)); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
}
