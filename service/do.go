package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
)

// Do sends a request that this package has no method for, such as one of a
// preview version, with the credential, retries, spans and reverse proxy of the
// methods. The URL is a path below the endpoint, with api-version and all other
// query parameters:
//
//	req, err := http.NewRequestWithContext(ctx, "GET", "/api/hubs/chat/rooms?api-version=2026-08-01-preview", nil)
//	resp, err := chat.Do(req)
//
// Do returns a nil error for any HTTP status code except a redirect, which is not
// followed; the caller must close the response body. The request body is read
// into memory. POST and PATCH are retried like sends.
func (c *Client) Do(r *http.Request) (resp *http.Response, err error) {
	if r.URL.Host != "" || r.URL.Scheme != "" || r.URL.Opaque != "" || !strings.HasPrefix(r.URL.Path, "/") {
		// A token must not be sent to another host than its audience.
		return nil, errors.New("service: Do: the URL must be a path below the endpoint, such as /api/hubs/chat/:send?api-version=2024-12-01")
	}
	ctx, end := runtime.StartSpan(r.Context(), "Client.Do", c.az.Tracer(), nil)
	defer func() { end(err) }()
	req, err := runtime.NewRequest(ctx, r.Method, c.endpoint+r.URL.RequestURI())
	if err != nil {
		return nil, fmt.Errorf("service: Do: %w", err)
	}
	maps.Copy(req.Raw().Header, r.Header)
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("service: Do: read the body: %w", err)
		}
		if err := req.SetBody(streaming.NopCloser(bytes.NewReader(body)), r.Header.Get("Content-Type")); err != nil {
			return nil, fmt.Errorf("service: Do: %w", err)
		}
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		req.SetOperationValue(isSend{})
	}
	resp, err = c.az.Pipeline().Do(req)
	if errors.As(err, new(statusError)) {
		return resp, nil
	}
	if err != nil {
		return nil, c.explain("Do", err)
	}
	return resp, nil
}
