package handler_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/viatunnel"
	"example.com/webpubsub/internal/webhook"
)

// What arrives through the tunnel is accepted only with the option, and a request
// from the network is verified with it as without.
func TestTrustTunnel(t *testing.T) {
	keys := []string{handlertest.AccessKey}
	for name, tt := range map[string]struct {
		options                 handler.Options
		tunnel, signed, invalid int
	}{
		"off":             {handler.Options{AccessKeys: keys, AllowedOrigins: []string{"other.example"}}, 401, 401, 401},
		"on with a key":   {handler.Options{AccessKeys: keys, AllowedOrigins: []string{"other.example", "a.example"}, TrustTunnel: true}, 204, 204, 401},
		"on alone":        {handler.Options{TrustTunnel: true}, 204, 401, 401},
		"on, any network": {handler.Options{TrustTunnel: true, AllowedOrigins: []string{"*"}}, 204, 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := handler.New(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) { return nil, nil })
			event := func(signature string) *http.Request {
				r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil)
				r.Header["Webhook-Request-Origin"] = []string{"a.example"}
				r.Header["Ce-Signature"] = []string{signature}
				return r
			}
			r := event("none of any key")
			wantStatus(t, handlertest.Do(h, r.WithContext(viatunnel.Mark(r.Context()))), tt.tunnel)
			wantStatus(t, handlertest.Do(h, event(webhook.Signature(handlertest.AccessKey, "conn1"))), tt.signed)
			wantStatus(t, handlertest.Do(h, event("none of any key")), tt.invalid)

			preflight := handlertest.ValidationRequest("unheard-of.example")
			got := handlertest.Do(h, preflight.WithContext(viatunnel.Mark(preflight.Context()))).Header.Get("WebHook-Allowed-Origin")
			if accepted := got == "unheard-of.example" || got == "*"; accepted != (tt.tunnel == 204) {
				t.Errorf("the tunnel's validation request gets the origin %q", got)
			}
		})
	}
	_, err := handler.New(handler.Options{TrustTunnel: true, DangerouslySkipVerification: true})
	if err == nil || !strings.Contains(err.Error(), "cannot be combined") {
		t.Errorf("with DangerouslySkipVerification: %v", err)
	}
}
