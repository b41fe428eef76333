package upstream_test

import (
	"net/url"
	"strings"
	"testing"

	"example.com/webpubsub/internal/upstream"
)

func TestHandlerValidate(t *testing.T) {
	const ok = "http://localhost:7071/api/events"
	for _, tt := range []struct {
		name string
		h    upstream.Handler
		want string // part of the error, "" for none
	}{
		{"nothing but a URL", upstream.Handler{URL: ok}, ""},
		{"everything", upstream.Handler{
			URL: "https://h.example/{hub}/api/{event}?code=k%7B&e={event}", UserEvents: " a , b-c.d, ",
			SystemEvents: []string{"Connect", "connected", "disconnected"}, GroupEvents: []string{"joined", "left"},
		}, ""},
		{"all user events", upstream.Handler{URL: ok, UserEvents: " * "}, ""},
		{"star in a list", upstream.Handler{URL: ok, UserEvents: "a,*"}, "* selects all events"},
		{"star in a name", upstream.Handler{URL: ok, UserEvents: "order.*"}, "* selects all events"},
		{"bad event name", upstream.Handler{URL: ok, UserEvents: "a,b c"}, "invalid event name"},
		{"unknown system event", upstream.Handler{URL: ok, SystemEvents: []string{"message"}}, "there are connect, connected and disconnected"},
		{"unknown group event", upstream.Handler{URL: ok, GroupEvents: []string{"join"}}, "there are joined and left"},
		{"no URL", upstream.Handler{}, "is empty"},
		{"no scheme", upstream.Handler{URL: "localhost:7071/api"}, "must begin with http://, https:// or tunnel:///"},
		{"other scheme", upstream.Handler{URL: "ftp://h/x"}, "must begin with http://, https:// or tunnel:///"},
		{"tunnel", upstream.Handler{URL: "tunnel:///{hub}/eventhandler?code=k&e={event}"}, ""},
		{"tunnel with a host", upstream.Handler{URL: "tunnel://eventhandler"}, "write tunnel:///path"},
		{"tunnel without a path", upstream.Handler{URL: "tunnel://"}, "write tunnel:///path"},
		{"tunnel with dots", upstream.Handler{URL: "tunnel:///a/../b"}, "path segment"},
		{"Key Vault", upstream.Handler{URL: "https://h/x?code={@Microsoft.KeyVault(SecretUri=https://v/s)}"}, "Key Vault reference"},
		{"parameter in the host", upstream.Handler{URL: "https://{hub}.example.com/api"}, "parameter in the host"},
		{"unknown parameter", upstream.Handler{URL: "https://h/{user}"}, "there are {hub} and {event}"},
		{"open brace", upstream.Handler{URL: "https://h/{hub"}, "literal brace is written %7B"},
		{"stray brace", upstream.Handler{URL: "https://h/hub}"}, "literal brace is written %7B"},
		{"user name", upstream.Handler{URL: "https://me:pass@h/x"}, "user name"},
		{"fragment", upstream.Handler{URL: "https://h/x#top"}, "fragment"},
		{"no host", upstream.Handler{URL: "http:///x"}, "no host"},
		{"dots", upstream.Handler{URL: "http://h/a/../b"}, "path segment"},
		{"hidden dots", upstream.Handler{URL: "http://h/a/%2e%2E/b"}, "path segment"},
		{"bad escape", upstream.Handler{URL: "http://h/a%zz?code=topsecret"}, "cannot be parsed"},
		{"bad port", upstream.Handler{URL: "http://h:port/?code=topsecret"}, "cannot be parsed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.h.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Validate() = %v, want nil", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Validate() = %v, want an error with %q", err, tt.want)
			case err != nil && (strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "pass@")):
				t.Errorf("Validate() = %v: it shows a secret", err)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	for _, tt := range []struct{ template, hub, event, want string }{
		{"http://h:1/api/{hub}/{event}", "chat", "message", "http://h:1/api/chat/message"},
		{"HTTPS://h/{event}", "chat", "validate", "https://h/validate"},
		{"http://h?hub={hub}&e={event}&code=a%3D%3D", "chat", "x", "http://h?hub=chat&e=x&code=a%3D%3D"},
		{"http://h/{hub}{hub}/", "a_`,.[]", "x", "http://h/a_%60%2C.%5B%5Da_%60%2C.%5B%5D/"},
		{"http://h/{event}?e={event}", "chat", "a/b?c&d#e", "http://h/a%2Fb%3Fc&d%23e?e=a%2Fb%3Fc%26d%23e"},
		{"http://h/%7Bhub%7D", "chat", "x", "http://h/%7Bhub%7D"},
		{"http://h/{event}", "chat", "{hub}", "http://h/%7Bhub%7D"},
	} {
		u, err := upstream.Resolve(tt.template, tt.hub, tt.event)
		if err != nil {
			t.Errorf("Resolve(%q, %q, %q): %v", tt.template, tt.hub, tt.event, err)
			continue
		}
		if got := u.String(); got != tt.want {
			t.Errorf("Resolve(%q, %q, %q) = %s, want %s", tt.template, tt.hub, tt.event, got, tt.want)
		}
	}
	if u, err := upstream.Resolve("http://h/hooks/{event}", "chat", ".."); err == nil {
		t.Errorf("Resolve with the event .. = %s, want an error: it leads out of /hooks", u)
	}
}

// The values of a template come from clients. Whatever they are, the request
// goes to the configured host, with the same path depth and the same parameters.
func FuzzResolve(f *testing.F) {
	f.Add("http://h:1/a/{hub}/{event}?code=1&e={event}", "chat", "message")
	f.Add("https://h/{event}", "chat", "../..//x?y#z")
	f.Add("http://h/{hub", "%2e", "\x00\xff")
	f.Add("http://[::1]:80?{hub}={event}", "a&b", "=")
	f.Add("http://h/%2{event}?x=%{hub}", "F", "F") // an escaped slash, and for other names no URL
	f.Fuzz(func(t *testing.T, template, hub, event string) {
		got, err := upstream.Resolve(template, hub, event)
		if err != nil {
			return
		}
		plain, err := upstream.Resolve(template, "hub", "event")
		if err != nil {
			t.Fatalf("Resolve(%q) fails for plain names only: %v", template, err)
		}
		if got.Scheme != plain.Scheme || got.Host != plain.Host {
			t.Errorf("%q and %q lead to different hosts", got, plain)
		}
		if a, b := strings.Count(got.EscapedPath(), "/"), strings.Count(plain.EscapedPath(), "/"); a != b {
			t.Errorf("%q has %d path separators, want %d", got, a, b)
		}
		if a, b := strings.Count(got.RawQuery, "&"), strings.Count(plain.RawQuery, "&"); a != b {
			t.Errorf("%q has %d query separators, want %d", got, a, b)
		}
		if again, err := url.Parse(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("%q does not survive parsing: %v, %v", got, again, err)
		}
	})
}

func TestHandlerMatches(t *testing.T) {
	user := func(name string) upstream.Event { return upstream.Event{Kind: upstream.User, Name: name} }
	for _, tt := range []struct {
		name string
		h    upstream.Handler
		e    upstream.Event
		want bool
	}{
		{"star takes every user event", upstream.Handler{UserEvents: "*"}, user("message"), true},
		{"star takes no system event", upstream.Handler{UserEvents: "*"}, upstream.Event{Kind: upstream.Connect}, false},
		{"a user event called connect", upstream.Handler{SystemEvents: []string{"connect"}}, user("connect"), false},
		{"list, other case, blanks", upstream.Handler{UserEvents: "a, Echo ,b"}, user("eCHO"), true},
		{"not in the list", upstream.Handler{UserEvents: "a,b"}, user("ab"), false},
		{"none", upstream.Handler{}, user("message"), false},
		{"empty entry takes no empty name", upstream.Handler{UserEvents: "a,,b"}, user(""), false},
		{"system event, other case", upstream.Handler{SystemEvents: []string{"Connected"}}, upstream.Event{Kind: upstream.Connected}, true},
		{"other system event", upstream.Handler{SystemEvents: []string{"connected"}}, upstream.Event{Kind: upstream.Disconnected}, false},
		{"every group", upstream.Handler{GroupEvents: []string{"joined"}}, upstream.Event{Kind: upstream.GroupJoined, Group: "g"}, true},
		{"other group event", upstream.Handler{GroupEvents: []string{"joined"}}, upstream.Event{Kind: upstream.GroupLeft, Group: "g"}, false},
		{
			"second filter",
			upstream.Handler{GroupEvents: []string{"left"}, GroupFilters: []string{"a", "room.*"}},
			upstream.Event{Kind: upstream.GroupLeft, Group: "room.1"},
			true,
		},
		{
			"no filter fits",
			upstream.Handler{GroupEvents: []string{"left"}, GroupFilters: []string{"a", "room.*"}},
			upstream.Event{Kind: upstream.GroupLeft, Group: "b"},
			false,
		},
	} {
		if got := tt.h.Matches(tt.e); got != tt.want {
			t.Errorf("%s: Matches = %v, want %v", tt.name, got, tt.want)
		}
	}
}
