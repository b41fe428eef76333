package handler_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// withState runs f on the state of a user event that came with this header, and
// returns the state header of the answer.
func withState(t testing.TB, header string, f func(*handler.ConnectionState)) (string, bool) {
	t.Helper()
	return withStateOf(t, nil, header, f)
}

func withStateOf(t testing.TB, change func(*handler.Options), header string, f func(*handler.ConnectionState)) (string, bool) {
	t.Helper()
	h, _ := newHandler(t, change)
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		f(e.State())
		return webpubsub.Message{}, nil
	})
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), nil)
	if header != "" {
		r.Header.Set("ce-connectionState", header)
	}
	res := handlertest.Do(h, r)
	wantStatus(t, res, 204)
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
	for _, tt := range []struct {
		name string
		have string
		f    func(*handler.ConnectionState)
		want string // "" for no header
	}{
		{"untouched", two, func(*handler.ConnectionState) {}, ""},
		{"only read", two, func(s *handler.ConnectionState) { s.Keys() }, ""},
		{"the last of two wins, order is kept, as web-pubsub-express", "", func(s *handler.ConnectionState) {
			must(t, s.Set("key1", "val1"))
			must(t, s.Set("key2", "val2"))
			must(t, s.Set("key3", ""))
			must(t, s.Set("key1", []string{"val3"}))
		}, `{"key1":["val3"],"key2":"val2","key3":""}`},
		{"update", two, func(s *handler.ConnectionState) { must(t, s.Set("key1", 2)) }, `{"key1":2,"key2":{"n":1}}`},
		{"add", two, func(s *handler.ConnectionState) { must(t, s.Set("key3", nil)) }, `{"key1":"val1","key2":{"n":1},"key3":null}`},
		{"delete", two, func(s *handler.ConnectionState) { s.Delete("key1") }, `{"key2":{"n":1}}`},
		{"delete nothing", two, func(s *handler.ConnectionState) { s.Delete("key9") }, ""},
		// .NET leaves the header out here, so that the service keeps the old state.
		{"clear", two, func(s *handler.ConnectionState) { s.Clear() }, `{}`},
		{"clear nothing", "", func(s *handler.ConnectionState) { s.Clear() }, ""},
		// .NET merges the old state back in here.
		{"clear and add", two, func(s *handler.ConnectionState) { s.Clear(); must(t, s.Set("key3", 3)) }, `{"key3":3}`},
		{"HTML is not escaped", "", func(s *handler.ConnectionState) { must(t, s.Set("<k>", "<&>")) }, `{"<k>":"<&>"}`},
		{"duplicate keys, the last wins", `{"a":1,"b":2,"a":3}`, func(s *handler.ConnectionState) { must(t, s.Set("c", 4)) }, `{"a":3,"b":2,"c":4}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := ""
			if tt.have != "" {
				header = b64(tt.have)
			}
			got, ok := withState(t, header, tt.f)
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

// What is no JSON object in base64 reads as empty, as in the official
// libraries, and can be replaced.
func TestStateUnreadable(t *testing.T) {
	for _, header := range []string{
		"???", "e30", b64(`[1]`), b64(`null`), b64(`"x"`), b64(`{"a":`), b64(`{} {}`), b64(`1`), b64("\xff"),
		b64(strings.Repeat(`{"a":`, 20000)),
	} {
		got, _ := withState(t, header, func(s *handler.ConnectionState) {
			if len(s.Keys()) != 0 || s.Raw() != header {
				t.Errorf("%.20q: keys %v, raw %.20q", header, s.Keys(), s.Raw())
			}
			must(t, s.Set("a", 1))
		})
		if got != b64(`{"a":1}`) {
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
	withState(t, header, func(s *handler.ConnectionState) {
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

// The .NET library takes a state for empty unless every value is the base64 of
// bytes, and reads JSON from those.
func TestStateForDotNet(t *testing.T) {
	dotNet := func(o *handler.Options) { o.DotNetState = true }
	type session struct {
		Room string `json:"room"`
	}
	header, _ := withStateOf(t, dotNet, "", func(s *handler.ConnectionState) {
		must(t, s.Set("bytes", []byte("1")))
		must(t, s.Set("n", 1))
		must(t, s.Set("text", "hi"))
		must(t, s.Set("session", session{"a"}))
	})
	if want := b64(`{"bytes":"` + b64("1") + `","n":"` + b64("1") + `","text":"` + b64(`"hi"`) + `","session":"` + b64(`{"room":"a"}`) + `"}`); header != want {
		t.Errorf("header %s, want %s", header, want)
	}
	read := func(s *handler.ConnectionState) {
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
	}
	withStateOf(t, dotNet, header, read)
	// A bare text, as BinaryData.FromString makes it, and what JavaScript wrote.
	withStateOf(t, dotNet, b64(`{"bytes":"`+b64("1")+`","n":1,"text":"`+b64("hi")+`","session":{"room":"a"}}`), read)

	// []byte is the same in either form.
	if header, _ = withState(t, "", func(s *handler.ConnectionState) { must(t, s.Set("b", []byte("1"))) }); header != b64(`{"b":"MQ=="}`) {
		t.Errorf("header %s", header)
	}
}

func TestTypedState(t *testing.T) {
	const visits handler.State[int] = "visits"
	const tags handler.State[[]string] = "tags"
	header, _ := withState(t, "", func(s *handler.ConnectionState) {
		if n, err := visits.Get(s); n != 0 || err != nil {
			t.Errorf("before the first: %d, %v", n, err)
		}
		must(t, visits.Set(s, 2))
		must(t, tags.Set(s, []string{"a"}))
	})
	if header != b64(`{"visits":2,"tags":["a"]}`) {
		t.Errorf("header %s", header)
	}
	header, _ = withState(t, header, func(s *handler.ConnectionState) {
		if n, err := visits.Get(s); n != 2 || err != nil {
			t.Errorf("visits %d, %v", n, err)
		}
		if got, err := tags.Get(s); !slices.Equal(got, []string{"a"}) || err != nil {
			t.Errorf("tags %v, %v", got, err)
		}
		if _, err := handler.State[int]("tags").Get(s); err == nil || !strings.Contains(err.Error(), `"tags"`) {
			t.Errorf("of another type: %v", err)
		}
		tags.Delete(s)
	})
	if header != b64(`{"visits":2}`) {
		t.Errorf("header %s", header)
	}
}

func TestStateLimits(t *testing.T) {
	got, _ := withState(t, "", func(s *handler.ConnectionState) {
		must(t, s.Set("small", 1))
		if err := s.Set("big", strings.Repeat("x", handler.MaxState)); !errors.Is(err, handler.ErrStateTooLarge) {
			t.Errorf("big: %v", err)
		}
		if err := s.Set("chan", make(chan int)); err == nil {
			t.Error("a channel is no JSON")
		}
		if err := s.Set("small", strings.Repeat("x", handler.MaxState)); !errors.Is(err, handler.ErrStateTooLarge) {
			t.Errorf("small: %v", err)
		}
		// 3072 bytes of JSON make 4096 of base64.
		must(t, s.Set("rest", strings.Repeat("x", 3072-len(`{"small":1,"rest":""}`))))
		if err := s.Set("more", ""); !errors.Is(err, handler.ErrStateTooLarge) {
			t.Errorf("more: %v", err)
		}
	})
	if len(got) != handler.MaxState {
		t.Errorf("header of %d bytes", len(got))
	}
}

func TestStateOnConnect(t *testing.T) {
	h, _ := newHandler(t, nil)
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return nil, r.State().Set("room", "lobby")
	})
	res := handlertest.Do(h, handlertest.Connect("chat", "conn1", nil))
	wantStatus(t, res, 204)
	if s, ok := res.State(); !ok || string(s["room"]) != `"lobby"` {
		t.Errorf("%v %v", s, ok)
	}
}

// A state of an event that is not from a handler can be read, not written.
func TestStateZero(t *testing.T) {
	var e handler.UserEvent
	if found, err := e.State().Get("k", new(int)); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if err := e.State().Set("k", 1); !errors.Is(err, handler.ErrStateReadOnly) {
		t.Error(err)
	}
}
