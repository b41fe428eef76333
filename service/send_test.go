package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

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
		{"broken JSON", all(webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte("{")}, nil), "not one JSON value"},
		{"no JSON", all(webpubsub.Message{Type: webpubsub.DataTypeJSON}, nil), "not one JSON value"},
		{"text that is none", all(webpubsub.Text("\xff"), nil), "not UTF-8"},
		{"too long", all(webpubsub.Text(big+"x"), nil), "1048577 bytes: the service accepts at most 1048576"},
		{"metadata key", all(hi.WithMetadata("a b", "v"), nil), `invalid metadata key "a b"`},
		{"metadata value", all(hi.WithMetadata("a", "x\r\nEvil: 1"), nil), `invalid value of metadata "a"`},
		{"metadata twice", all(hi.WithMetadata("a", "1").WithMetadata("A", "2"), nil), `metadata "a" is set twice`},
		{"negative TTL", all(hi, &webpubsub.SendOptions{TTL: -time.Second}), "whole seconds, at most 5m0s"},
		{"long TTL", all(hi, &webpubsub.SendOptions{TTL: 301 * time.Second}), "whole seconds, at most 5m0s"},
		{"fractional TTL", all(hi, &webpubsub.SendOptions{TTL: 1500 * time.Millisecond}), "whole seconds, at most 5m0s"},
		{"filter that is not UTF-8", all(hi, &webpubsub.SendOptions{Filter: webpubsub.FilterUsers("\xff")}), "the filter is not UTF-8"},
		{"filter of a connection send", func(ctx context.Context) error {
			return c.SendToConnection(ctx, "c", hi, &webpubsub.SendOptions{Filter: "true"})
		}, "not supported for a single connection"},
		{"excluded of a connection send", func(ctx context.Context) error {
			return c.SendToConnection(ctx, "c", hi, &webpubsub.SendOptions{Excluded: []string{"c"}})
		}, "not supported for a single connection"},
		{"no group", func(ctx context.Context) error { return c.SendToGroup(ctx, "", hi, nil) }, "Invalid group name"},
		{"blank group", func(ctx context.Context) error { return c.SendToGroup(ctx, " \t", hi, nil) }, "Invalid group name"},
		{"long group", func(ctx context.Context) error { return c.SendToGroup(ctx, strings.Repeat("ü", 1025), hi, nil) }, "Invalid group name"},
		{"no user", func(ctx context.Context) error { return c.SendToUser(ctx, "", hi, nil) }, "the user ID is empty"},
		{"no connection", func(ctx context.Context) error { return c.SendToConnection(ctx, "", hi, nil) }, "the connection ID is empty"},
		{"no connection to close", func(ctx context.Context) error { return c.CloseConnection(ctx, "", nil) }, "the connection ID is empty"},
		{"unknown permission", func(ctx context.Context) error { return c.GrantPermission(ctx, "admin", "c", "g", nil) }, `unknown permission "admin"`},
		{"grant without group", func(ctx context.Context) error {
			return c.GrantPermission(ctx, service.PermissionSendToGroup, "c", "", nil)
		}, "Invalid group name"},
		{"revoke without group", func(ctx context.Context) error {
			return c.RevokePermission(ctx, service.PermissionSendToGroup, "c", "", nil)
		}, "Invalid group name"},
		{"question without group", func(ctx context.Context) error {
			_, err := c.HasPermission(ctx, service.PermissionSendToGroup, "c", "", nil)
			return err
		}, "Invalid group name"},
		{"bulk without groups", func(ctx context.Context) error { return c.AddConnectionsToGroups(ctx, nil, "true", nil) }, "no groups are given"},
		{"bulk with a bad group", func(ctx context.Context) error {
			return c.RemoveConnectionsFromGroups(ctx, []string{"a", ""}, "true", nil)
		}, "Invalid group name"},
		{"bulk with a bad filter", func(ctx context.Context) error {
			return c.AddConnectionsToGroups(ctx, []string{"a"}, webpubsub.FilterGroup("\xff"), nil)
		}, "the filter is not UTF-8"},
		{"bulk too long", func(ctx context.Context) error {
			return c.AddConnectionsToGroups(ctx, []string{"a"}, webpubsub.Filter(big), nil)
		}, "accepts at most 1048576"},
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
