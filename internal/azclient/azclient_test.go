package azclient_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"example.com/webpubsub/internal/azclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(r *http.Request) (*http.Response, error) { return f(r) }

// An http.Client follows a redirect with every header but Authorization and
// cookies, to any host.
func TestRedirectsAreErrors(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/x?secret=1", http.StatusFound))
	defer srv.Close()
	own := srv.Client()
	inner := &http.Transport{}
	defer inner.CloseIdleConnections()
	for name, tr := range map[string]policy.Transporter{
		"the default":       nil,
		"an http.Client":    own,
		"another transport": transport(func(r *http.Request) (*http.Response, error) { return inner.RoundTrip(r) }),
	} {
		req, err := http.NewRequest(http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true // the default transport outlives the test
		resp, err := azclient.Transport(tr).Do(req)
		var re *azcore.ResponseError
		if !errors.As(err, &re) || re.StatusCode != http.StatusFound || !strings.Contains(err.Error(), "redirected to "+elsewhere.URL+"/x, which is not followed") {
			t.Errorf("%s: %v", name, err)
		}
		if resp == nil || resp.StatusCode != http.StatusFound {
			t.Errorf("%s: no response for policy.WithCaptureResponse", name)
		}
		var final interface{ NonRetriable() }
		if !errors.As(err, &final) {
			t.Errorf("%s: the error would be retried", name)
		}
	}
	if own.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

// A body of exactly 16 MiB is read, and one more byte is an error.
func TestBodiesAreBounded(t *testing.T) {
	for _, tt := range []struct {
		size int64
		want string
	}{{16 << 20, ""}, {16<<20 + 1, "exceeds 16 MiB"}} {
		tr := azclient.Transport(transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(io.LimitReader(zeros{}, tt.size)), Request: r}, nil
		}))
		req, _ := http.NewRequest(http.MethodGet, "https://h/", nil)
		resp, err := tr.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if tt.want == "" && (err != nil || n != tt.size) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%d bytes: read %d, %v", tt.size, n, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
