package service_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

// TestLogHasNoSecrets listens to azcore's log, bodies included, while every call
// is made: no key, no token of either kind and no name of a person may show,
// and what helps to find a fault must.
func TestLogHasNoSecrets(t *testing.T) {
	var mu sync.Mutex
	var b strings.Builder
	log.SetListener(func(_ log.Event, message string) {
		mu.Lock()
		defer mu.Unlock()
		b.WriteString(message)
	})
	defer log.SetListener(nil)

	plain, tls := newCapture(t, false), newCapture(t, true)
	secrets := []string{testKey, entraToken, "client-access-token-of-the-test"}
	ko, eo := plain.options(), tls.options()
	ko.Logging.IncludeBody, eo.Logging.IncludeBody = true, true
	key, entra := plain.keyClient(t, ko), tls.entraClient(t, eo)
	for _, op := range operations {
		for _, status := range []int{op.status, http.StatusUnauthorized} {
			plain.answer(status, "")
			tls.answer(status, "")
			_, _ = op.call(t.Context(), key)
			_, _ = op.call(t.Context(), entra)
		}
	}
	for _, r := range plain.take() {
		if jwt := bearer(r); jwt != "" {
			secrets = append(secrets, jwt)
		}
	}
	tls.answer(http.StatusOK, `{"token":"client-access-token-of-the-test"}`)
	o := &service.GetClientAccessTokenOptions{UserID: "alice-of-the-test"}
	if _, err := entra.GetClientAccessToken(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	own, err := key.GetClientAccessToken(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, own.Token, "alice-of-the-test")

	mu.Lock()
	defer mu.Unlock()
	for _, s := range secrets {
		if strings.Contains(b.String(), s) {
			t.Errorf("the log shows %s", s)
		}
	}
	if len(secrets) < 2*len(operations) {
		t.Errorf("only %d secrets were looked for", len(secrets))
	}
	for _, s := range []string{"messageTtlSeconds=60", "minutesToExpire=60", "Authorization: REDACTED", "userId=REDACTED"} {
		if !strings.Contains(b.String(), s) {
			t.Errorf("the log lacks %s", s)
		}
	}
}

// TestTracing checks the spans: one for the method, one below it for the request.
func TestTracing(t *testing.T) {
	var names, attributes []string
	provider := tracing.NewProvider(func(string, string) tracing.Tracer {
		return tracing.NewTracer(func(ctx context.Context, name string, o *tracing.SpanOptions) (context.Context, tracing.Span) {
			names = append(names, name)
			for _, a := range o.Attributes {
				if s, ok := a.Value.(string); ok {
					attributes = append(attributes, a.Key+"="+s)
				}
			}
			return ctx, tracing.NewSpan(tracing.SpanImpl{
				End: func() { names = append(names, "end of "+name) },
				SetStatus: func(_ tracing.SpanStatus, description string) {
					attributes = append(attributes, description)
				},
			})
		}, nil)
	}, nil)
	srv := newCapture(t, false)
	o := srv.options()
	o.TracingProvider = provider
	c := srv.keyClient(t, o)
	if err := c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), &webpubsub.SendOptions{Filter: "userId eq 'alice-of-the-test'"}); err != nil {
		t.Fatal(err)
	}
	if want := "Client.SendToGroup, HTTP POST, end of HTTP POST, end of Client.SendToGroup"; strings.Join(names, ", ") != want {
		t.Errorf("spans %v, want %s", names, want)
	}
	srv.answer(http.StatusForbidden, "")
	if err := c.SendToAll(t.Context(), webpubsub.Text("x"), nil); err == nil {
		t.Error("403 is no error")
	}
	all := strings.Join(attributes, "\n")
	if !strings.Contains(all, "az.namespace=Microsoft.WebPubSub") || !strings.Contains(all, "keys may be disabled") {
		t.Errorf("attributes lack namespace or error:\n%s", all)
	}
	if strings.Contains(all, "alice-of-the-test") {
		t.Errorf("attributes show a user:\n%s", all)
	}
}

// TestUserAgent checks that the service's operators can tell the client.
func TestUserAgent(t *testing.T) {
	srv := newCapture(t, false)
	if err := srv.keyClient(t, nil).SendToAll(t.Context(), webpubsub.Text("x"), nil); err != nil {
		t.Fatal(err)
	}
	r := srv.one(t)
	if ua := r.header.Get("User-Agent"); !strings.HasPrefix(ua, "azsdk-go-webpubsub/v") {
		t.Errorf("User-Agent %q", ua)
	}
	if r.header.Get("X-Ms-Client-Request-Id") == "" {
		t.Error("no x-ms-client-request-id")
	}
}
