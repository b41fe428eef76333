package service_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

// redirect makes the server redirect every request.
func (c *capture) redirect(status int, target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", target)
		w.WriteHeader(status)
	}
}

// A redirect was followed: a 302 made GroupExists true and AddConnectionToGroup
// succeed, a 307 sent the message to another server, and the token stayed in the
// request where only the port differed. The API has no redirects.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := newCapture(t, false)
	elsewhere.answer(http.StatusOK, `{"token":"t"}`)
	srv := newCapture(t, true)
	check := func(name string, status int, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), elsewhere.URL+"/login") || !strings.Contains(err.Error(), "not followed") {
			t.Errorf("%s, %d: got %v, want an error that names the target", name, status, err)
		}
		first, _, _ := strings.Cut(err.Error(), "\n")
		if strings.Contains(first, "verysecret") {
			t.Errorf("%s, %d: the query of the target is shown: %s", name, status, first)
		}
		var re *azcore.ResponseError
		if !errors.As(err, &re) || re.StatusCode != status {
			t.Errorf("%s: %v is no ResponseError of status %d", name, err, status)
		}
	}
	key, identity := srv.keyClient(t, nil), srv.entraClient(t, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv.redirect(status, elsewhere.URL+"/login?x=verysecret")
		for _, op := range operations {
			_, err := op.call(t.Context(), key)
			check(op.name, status, err)
		}
		_, err := identity.GetClientAccessToken(t.Context(), nil)
		check("GetClientAccessToken", status, err)
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "/api/hubs/chat/rooms", strings.NewReader("x"))
		_, err = key.Do(req)
		check("Do", status, err)
	}
	if r := elsewhere.take(); len(r) > 0 {
		t.Errorf("redirects were followed: %v", r)
	}

	// 304 is not a redirect.
	srv.answer(http.StatusNotModified, "")
	for _, method := range []string{"GET", "POST"} {
		req, _ := http.NewRequestWithContext(t.Context(), method, "/api/hubs/chat/rooms", nil)
		if resp, err := key.Do(req); err != nil || resp.StatusCode != http.StatusNotModified {
			t.Errorf("%s, 304: %v", method, err)
		}
	}
}

// A transport of the caller may follow redirects before this package sees them.
// Its result is not a success of the request that was made.
func TestRedirectsOfATransport(t *testing.T) {
	elsewhere := newCapture(t, false)
	elsewhere.answer(http.StatusOK, "")
	srv := newCapture(t, false)
	srv.redirect(http.StatusFound, elsewhere.URL+"/login?x=verysecret")
	o := srv.options()
	follows := &http.Client{Transport: srv.Client().Transport}
	o.Transport = transport(follows.Do)
	c := srv.keyClient(t, o)
	exists, err := c.GroupExists(t.Context(), "g", nil)
	if err == nil || exists || !strings.Contains(err.Error(), "redirected to "+elsewhere.URL+"/login") || strings.Contains(err.Error(), "verysecret") {
		t.Errorf("got %v, %v", exists, err)
	}
	if n := len(srv.take()); n != 1 {
		t.Errorf("%d tries, want 1", n)
	}
}

// endless is a body without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}
func (*endless) Close() error { return nil }

// A server that never stops sending does not fill the memory.
func TestResponsesAreBounded(t *testing.T) {
	for name, call := range map[string]func(context.Context, *service.Client) error{
		"list": func(ctx context.Context, c *service.Client) error {
			_, err := c.NewListConnectionsInGroupPager("g", nil).NextPage(ctx)
			return err
		},
		"error": func(ctx context.Context, c *service.Client) error { return c.SendToAll(ctx, webpubsub.Text("x"), nil) },
	} {
		body := &endless{}
		c, err := service.NewClientWithKeyCredential("https://h", "chat", service.NewKeyCredential(testKey), &service.ClientOptions{
			ClientOptions: azcore.ClientOptions{
				Retry: policy.RetryOptions{RetryDelay: time.Nanosecond},
				Transport: transport(func(r *http.Request) (*http.Response, error) {
					resp := response(r, http.StatusOK)
					resp.Body = body
					return resp, nil
				}),
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t.Context(), c); err == nil || !strings.Contains(err.Error(), "exceeds 16 MiB") {
			t.Errorf("%s: %v", name, err)
		}
		if body.read > 80<<20 { // four tries
			t.Errorf("%s: read %d bytes", name, body.read)
		}
	}
}
