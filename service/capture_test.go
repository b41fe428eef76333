package service_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"example.com/webpubsub/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

// seen is a request as it arrived.
type seen struct {
	method, uri, host string
	header            http.Header
	body              string
}

// capture is a server that notes requests and answers as it is told.
type capture struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
	reply    func(w http.ResponseWriter, r *http.Request)
}

func newCapture(t testing.TB, tls bool) *capture {
	t.Helper()
	c := &capture{reply: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		c.mu.Lock()
		c.requests = append(c.requests, seen{r.Method, r.RequestURI, r.Host, r.Header, string(body)})
		reply := c.reply
		c.mu.Unlock()
		reply(w, r)
	})
	if tls {
		c.Server = httptest.NewTLSServer(h)
	} else {
		c.Server = httptest.NewServer(h)
	}
	t.Cleanup(c.Close)
	return c
}

// answer sets the status and body of the answers to come.
func (c *capture) answer(status int, body string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = func(w http.ResponseWriter, _ *http.Request) {
		if body != "" {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// take returns the requests so far and forgets them.
func (c *capture) take() []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.requests
	c.requests = nil
	return r
}

// one returns the only request so far and forgets it.
func (c *capture) one(t testing.TB) seen {
	t.Helper()
	r := c.take()
	if len(r) != 1 {
		t.Fatalf("the server saw %d requests, want 1: %+v", len(r), r)
	}
	return r[0]
}

// options use the server's own transport, which closes with it, and pauses too
// short to notice.
func (c *capture) options() *service.ClientOptions {
	return &service.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: c.Client(),
		Retry:     policy.RetryOptions{RetryDelay: time.Nanosecond},
	}}
}

func (c *capture) keyClient(t testing.TB, o *service.ClientOptions) *service.Client {
	t.Helper()
	if o == nil {
		o = c.options()
	}
	client, err := service.NewClientWithKeyCredential(c.URL, "chat", service.NewKeyCredential(testKey), o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (c *capture) entraClient(t testing.TB, o *service.ClientOptions) *service.Client {
	t.Helper()
	if o == nil {
		o = c.options()
	}
	client, err := service.NewClient(c.URL, "chat", &entra{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

const entraToken = "entra-token-of-the-test"

// entra is a token credential that needs no tenant.
type entra struct {
	mu     sync.Mutex
	scopes []string
}

func (e *entra) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scopes = append(e.scopes, o.Scopes...)
	return azcore.AccessToken{Token: entraToken, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(r *http.Request) (*http.Response, error) { return f(r) }

func response(r *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: http.NoBody, Request: r,
	}
}
