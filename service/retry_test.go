package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

var (
	errDial  = &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	errProxy = &net.OpError{Op: "proxyconnect", Err: errors.New("connection refused")}
	errRead  = &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
)

// TestRetries is about a message that arrived twice: every client of the Azure
// SDKs repeats a send after 503 or a broken connection, though the service may
// have delivered it already.
func TestRetries(t *testing.T) {
	send := func(ctx context.Context, c *service.Client) error {
		return c.SendToAll(ctx, webpubsub.Text("once"), nil)
	}
	closeAll := func(ctx context.Context, c *service.Client) error { return c.CloseAllConnections(ctx, nil) }
	tests := []struct {
		name       string
		call       func(context.Context, *service.Client) error
		retrySends bool
		status     int
		err        error
		want       int // tries
	}{
		{"send, 503", send, false, 503, nil, 1},
		{"send, 500", send, false, 500, nil, 1},
		{"send, 408", send, false, 408, nil, 1},
		{"send, broken", send, false, 0, errRead, 1},
		{"send, cut off", send, false, 0, io.ErrUnexpectedEOF, 1},
		{"send, refused for now", send, false, 429, nil, 4},
		{"send, no connection", send, false, 0, errDial, 4},
		{"send, no connection to an HTTP proxy", send, false, 0, errProxy, 4},
		{"send, wrong", send, false, 400, nil, 1},
		{"send at least once, 503", send, true, 503, nil, 4},
		{"send at least once, broken", send, true, 0, errRead, 4},
		{"send at least once, wrong", send, true, 400, nil, 1},
		{"close, 503", closeAll, false, 503, nil, 4},
		{"close, broken", closeAll, false, 0, errRead, 4},
		{"close, wrong", closeAll, false, 400, nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tries := 0
			c, err := service.NewClientWithKeyCredential("https://h", "chat", service.NewKeyCredential(testKey), &service.ClientOptions{
				RetrySends: tt.retrySends,
				ClientOptions: azcore.ClientOptions{
					Retry: policy.RetryOptions{RetryDelay: time.Nanosecond},
					Transport: transport(func(r *http.Request) (*http.Response, error) {
						tries++
						if r.Body != nil {
							if body, err := io.ReadAll(r.Body); err != nil || tt.status+len(body) == 0 {
								t.Errorf("try %d: body %q, %v", tries, body, err)
							}
						}
						if tt.err != nil {
							return nil, tt.err
						}
						return response(r, tt.status), nil
					}),
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			err = tt.call(t.Context(), c)
			if tries != tt.want {
				t.Errorf("%d tries, want %d", tries, tt.want)
			}
			if tt.err != nil {
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v does not wrap %v", err, tt.err)
				}
				return
			}
			var re *azcore.ResponseError
			if !errors.As(err, &re) || re.StatusCode != tt.status {
				t.Errorf("error %v, want status %d", err, tt.status)
			}
		})
	}
}

// TestRetryResendsBodyAndToken checks that a retried send has its body and a new
// token, and honours what the caller says about retries of one call.
func TestRetryResendsBodyAndToken(t *testing.T) {
	srv := newCapture(t, false)
	tries := 0
	srv.reply = func(w http.ResponseWriter, _ *http.Request) {
		if tries++; tries == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
	c := srv.keyClient(t, nil)
	if err := c.SendToAll(t.Context(), webpubsub.Text("again"), nil); err != nil {
		t.Fatal(err)
	}
	r := srv.take()
	if len(r) != 2 || r[1].body != "again" || len(r[1].header["Authorization"]) != 1 {
		t.Fatalf("requests %v", r)
	}
	if got := audience(t, r[1]); got != srv.URL+r[1].uri {
		t.Errorf("audience %s", got)
	}

	srv.answer(http.StatusTooManyRequests, "")
	ctx := policy.WithRetryOptions(t.Context(), policy.RetryOptions{MaxRetries: -1})
	if err := c.SendToAll(ctx, webpubsub.Text("x"), nil); err == nil {
		t.Error("429 is no error")
	}
	srv.one(t)
}

// TestCaptureResponse checks that the raw response can be had of every outcome.
func TestCaptureResponse(t *testing.T) {
	srv := newCapture(t, false)
	c := srv.keyClient(t, nil)
	for _, status := range []int{202, 400, 503} {
		srv.answer(status, "")
		var resp *http.Response
		err := c.SendToAll(policy.WithCaptureResponse(t.Context(), &resp), webpubsub.Text("x"), nil)
		if resp == nil || resp.StatusCode != status || (err == nil) != (status == 202) {
			t.Errorf("status %d: response %v, error %v", status, resp, err)
		}
	}
}

// TestCancel checks that the context ends a call, and that its error is found.
func TestCancel(t *testing.T) {
	srv := newCapture(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	srv.reply = func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}
	if err := srv.keyClient(t, nil).SendToAll(ctx, webpubsub.Text("x"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Calls end at every extreme of the retry options, and none panics.
func TestRetryOptionExtremes(t *testing.T) {
	for _, o := range []policy.RetryOptions{
		{MaxRetries: -1 << 31, RetryDelay: -1, MaxRetryDelay: -1, TryTimeout: -1},
		{RetryDelay: -1 << 63},
		{RetryDelay: time.Nanosecond, MaxRetryDelay: -1 << 63},
		{RetryDelay: 1<<63 - 1, MaxRetryDelay: time.Nanosecond},
		{RetryDelay: time.Nanosecond, TryTimeout: 1<<63 - 1},
		{StatusCodes: []int{}},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			c, err := service.NewClientWithKeyCredential("https://h", "chat", service.NewKeyCredential(testKey), &service.ClientOptions{
				ClientOptions: azcore.ClientOptions{Retry: o, Transport: transport(func(r *http.Request) (*http.Response, error) {
					tries++
					return response(r, http.StatusServiceUnavailable), r.Context().Err()
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.UserExists(t.Context(), "u", nil); err == nil || tries > 4 {
				t.Errorf("%+v: %v after %d tries", o, err, tries)
			}
		})
	}
}
