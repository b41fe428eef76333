package service_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

// TestHints checks that an error says what to do, shows the service's own words
// and can be taken apart.
func TestHints(t *testing.T) {
	send := func(ctx context.Context, c *service.Client) error {
		return c.SendToAll(ctx, webpubsub.Text("x"), nil)
	}
	tests := []struct {
		name   string
		entra  bool
		call   func(context.Context, *service.Client) error
		status int
		body   string
		code   string
		want   []string
	}{
		{"key, 401", false, send, 401, "", "", []string{"SendToAll", "access key", "ReverseProxyEndpoint", "clock"}},
		{"Entra, 401", true, send, 401, "", "", []string{"tenant", "clock"}},
		{"key, 403", false, send, 403, "", "", []string{"keys may be disabled", "NewClient"}},
		{
			"Entra, 403", true, send, 403,
			`{"code":"Error.Forbidden","message":"hub/send/action permission is required","target":null}`, "Error.Forbidden",
			[]string{`"Web PubSub Service Owner"`, "hub/send/action permission is required"},
		},
		{"429", false, send, 429, "", "", []string{"add units"}},
		{"414", false, send, 414, "", "", []string{"URL is too long"}},
		{"431", false, send, 431, "", "", []string{"URL is too long"}},
		{
			"user without connection", false,
			func(ctx context.Context, c *service.Client) error {
				return c.AddUserToGroup(ctx, "g", "fake-user", nil)
			},
			404, "{\"code\":\"Warning.User.NotExisted\",\"message\":\"User `fake-user` is not found.\"}", "Warning.User.NotExisted",
			[]string{"no open connection", "membership belongs to connections", "`fake-user` is not found"},
		},
		{
			"closed connection", false,
			func(ctx context.Context, c *service.Client) error { return c.AddConnectionToGroup(ctx, "g", "c", nil) },
			404, "", "",
			[]string{"connection does not exist"},
		},
		{
			"grant to a closed connection", false,
			func(ctx context.Context, c *service.Client) error {
				return c.GrantPermission(ctx, service.PermissionSendToGroup, "c", "g", nil)
			},
			404, "", "",
			[]string{"connection does not exist"},
		},
		{
			"bad filter", false, send, 400,
			`{"code":"Error.BadRequest","message":"Invalid syntax for 'invalid filter'"}`, "Error.BadRequest",
			[]string{"Invalid syntax for 'invalid filter'"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := newCapture(t, tt.entra)
			srv.answer(tt.status, tt.body)
			o := srv.options()
			o.Retry.MaxRetries = -1
			c := srv.keyClient
			if tt.entra {
				c = srv.entraClient
			}
			err := tt.call(t.Context(), c(t, o))
			var re *azcore.ResponseError
			if !errors.As(err, &re) || re.StatusCode != tt.status || re.ErrorCode != tt.code {
				t.Fatalf("error %v", err)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error lacks %q: %v", w, err)
				}
			}
		})
	}
}

// TestErrorCodeFromHeader checks that a HEAD, which has no body to say it, keeps
// its error code.
func TestErrorCodeFromHeader(t *testing.T) {
	srv := newCapture(t, false)
	srv.reply = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-ms-error-code", "Error.BadRequest")
		w.WriteHeader(http.StatusBadRequest)
	}
	_, err := srv.keyClient(t, nil).UserExists(t.Context(), "u", nil)
	var re *azcore.ResponseError
	if !errors.As(err, &re) || re.ErrorCode != "Error.BadRequest" {
		t.Errorf("error %v", err)
	}
}
