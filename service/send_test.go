package service_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

// TestRefusedBeforeSending lists what never reaches the service, and the words
// that tell the reader why.
func TestRefusedBeforeSending(t *testing.T) {
	srv := newCapture(t, false)
	c := srv.keyClient(t, nil)
	hi := webpubsub.Text("hi")
	all := func(m webpubsub.Message, o *webpubsub.SendOptions) func(context.Context) error {
		return func(ctx context.Context) error { return c.SendToAll(ctx, m, o) }
	}
	big := strings.Repeat("x", 1<<20)
	tests := []struct {
		name string
		call func(context.Context) error
		want string
	}{
		{"zero message", all(webpubsub.Message{}, nil), "the message is empty"},
		{"message without type", all(webpubsub.Message{Data: []byte("x")}, nil), "the message is empty"},
		{"unknown type", all(webpubsub.Message{Type: "xml", Data: []byte("x")}, nil), `unknown data type "xml"`},
		{"message that could not be built", all(webpubsub.JSON(make(chan int)), nil), "unsupported type"},
		{"broken JSON", all(webpubsub.Message{Type: webpubsub.TypeJSON, Data: []byte("{")}, nil), "not one JSON value"},
		{"no JSON", all(webpubsub.Message{Type: webpubsub.TypeJSON}, nil), "not one JSON value"},
		{"text that is none", all(webpubsub.Text("\xff"), nil), "not UTF-8"},
		{"too long", all(webpubsub.Text(big+"x"), nil), "1048577 bytes: the service takes at most 1048576"},
		{"metadata key", all(hi.WithMetadata("a b", "v"), nil), `invalid metadata key "a b"`},
		{"metadata value", all(hi.WithMetadata("a", "x\r\nEvil: 1"), nil), `invalid value of metadata "a"`},
		{"metadata twice", all(hi.WithMetadata("a", "1").WithMetadata("A", "2"), nil), `metadata "a" is given twice`},
		{"negative TTL", all(hi, &webpubsub.SendOptions{TTL: -time.Second}), "whole seconds, at most 5m0s"},
		{"long TTL", all(hi, &webpubsub.SendOptions{TTL: 301 * time.Second}), "whole seconds, at most 5m0s"},
		{"fractional TTL", all(hi, &webpubsub.SendOptions{TTL: 1500 * time.Millisecond}), "whole seconds, at most 5m0s"},
		{"bad filter", all(hi, &webpubsub.SendOptions{Filter: "(" + service.Filter("%v eq userId", 1.5) + ")"}), "argument 1 of type float64 has no OData literal"},
		{"filter of a connection send", func(ctx context.Context) error {
			return c.SendToConnection(ctx, "c", hi, &webpubsub.SendOptions{Filter: "true"})
		}, "neither Excluded nor Filter"},
		{"excluded of a connection send", func(ctx context.Context) error {
			return c.SendToConnection(ctx, "c", hi, &webpubsub.SendOptions{Excluded: []string{"c"}})
		}, "neither Excluded nor Filter"},
		{"excluded of a connection close", func(ctx context.Context) error {
			return c.CloseConnection(ctx, "c", &service.CloseOptions{Excluded: []string{"c"}})
		}, "takes no Excluded"},
		{"no group", func(ctx context.Context) error { return c.SendToGroup(ctx, "", hi, nil) }, "Invalid group name"},
		{"blank group", func(ctx context.Context) error { return c.SendToGroup(ctx, " \t", hi, nil) }, "Invalid group name"},
		{"long group", func(ctx context.Context) error { return c.SendToGroup(ctx, strings.Repeat("ü", 1025), hi, nil) }, "Invalid group name"},
		{"no user", func(ctx context.Context) error { return c.SendToUser(ctx, "", hi, nil) }, "is empty"},
		{"no connection", func(ctx context.Context) error { return c.SendToConnection(ctx, "", hi, nil) }, "is empty"},
		{"no connection to close", func(ctx context.Context) error { return c.CloseConnection(ctx, "", nil) }, "is empty"},
		{"unknown permission", func(ctx context.Context) error { return c.GrantPermission(ctx, "admin", "c", "g") }, `unknown permission "admin"`},
		{"grant without group", func(ctx context.Context) error {
			return c.GrantPermission(ctx, service.PermissionSendToGroup, "c", "")
		}, "Invalid group name"},
		{"revoke without group", func(ctx context.Context) error {
			return c.RevokePermission(ctx, service.PermissionSendToGroup, "c", "")
		}, "Invalid group name"},
		{"question without group", func(ctx context.Context) error {
			_, err := c.HasPermission(ctx, service.PermissionSendToGroup, "c", "")
			return err
		}, "Invalid group name"},
		{"bulk without groups", func(ctx context.Context) error { return c.AddConnectionsToGroups(ctx, nil, "true") }, "no groups are given"},
		{"bulk with a bad group", func(ctx context.Context) error {
			return c.RemoveConnectionsFromGroups(ctx, []string{"a", ""}, "true")
		}, "Invalid group name"},
		{"bulk with a bad filter", func(ctx context.Context) error {
			return c.AddConnectionsToGroups(ctx, []string{"a"}, service.Filter("userId in %s", []string{}))
		}, "empty list"},
		{"bulk too long", func(ctx context.Context) error { return c.AddConnectionsToGroups(ctx, []string{"a"}, big) }, "takes at most 1048576"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "service: ") {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if r := srv.take(); len(r) > 0 {
				t.Errorf("a request was made: %v", r)
			}
		})
	}
	if err := c.SendToAll(t.Context(), webpubsub.Text(big), nil); err != nil {
		t.Errorf("a message of exactly 1 MiB: %v", err)
	}
}

// TestDotSegments is about a group called "..". Servers and proxies resolve dot
// segments, so /api/hubs/chat/groups/../:send would be a send to the whole hub:
// whoever can name a group could speak to everybody.
func TestDotSegments(t *testing.T) {
	srv := newCapture(t, false)
	c := srv.keyClient(t, nil)
	for _, name := range []string{".", ".."} {
		calls := map[string]error{
			"SendToGroup":         c.SendToGroup(t.Context(), name, webpubsub.Text("x"), nil),
			"SendToUser":          c.SendToUser(t.Context(), name, webpubsub.Text("x"), nil),
			"CloseUser":           c.CloseUserConnections(t.Context(), name, nil),
			"CloseConnection":     c.CloseConnection(t.Context(), name, nil),
			"AddUserToGroup":      c.AddUserToGroup(t.Context(), "g", name),
			"RemoveUserFromGroup": c.RemoveUserFromGroup(t.Context(), name, "u"),
		}
		for method, err := range calls {
			if err == nil || !strings.Contains(err.Error(), "cannot be part of a URL") {
				t.Errorf("%s(%q): %v", method, name, err)
			}
		}
	}
	if r := srv.take(); len(r) > 0 {
		t.Errorf("requests were made: %v", r)
	}
	if err := c.SendToGroup(t.Context(), "...", webpubsub.Text("x"), nil); err != nil {
		t.Errorf("three dots are an ordinary name: %v", err)
	}
}

// FuzzPath checks that no name can leave its place in the path.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"g", "..", "a/b", "a%2Fb", "%", "+", "a b", "?x=1", "#f", ";p=1", "ü", "\x00", "\xff", `\..\`, ":send", "../:send"} {
		f.Add(s)
	}
	var got *http.Request
	c, err := service.NewClientWithKey("https://h/base", azcore.NewKeyCredential(testKey), "chat", &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: transport(func(r *http.Request) (*http.Response, error) {
			got = r
			return response(r, http.StatusAccepted), nil
		})},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got = nil
		if err := c.SendToUser(t.Context(), name, webpubsub.Text("x"), nil); err != nil {
			if got != nil {
				t.Errorf("%q: sent, and then %v", name, err)
			}
			return
		}
		segments := strings.Split(got.URL.EscapedPath(), "/")
		if len(segments) != 8 || segments[7] != ":send" || got.URL.RawQuery != "api-version=2024-12-01" || got.URL.Fragment != "" {
			t.Fatalf("%q: %s", name, got.URL)
		}
		if back, err := url.PathUnescape(segments[6]); err != nil || back != name || back == ".." || back == "." {
			t.Errorf("%q arrives as %q, %v", name, back, err)
		}
	})
}

// TestMessageErr checks that the reason of a failed message can be found.
func TestMessageErr(t *testing.T) {
	c := newCapture(t, false).keyClient(t, nil)
	m := webpubsub.JSON(func() {})
	if err := c.SendToAll(t.Context(), m, nil); !errors.Is(err, m.Err()) {
		t.Errorf("error %v does not wrap %v", err, m.Err())
	}
}
