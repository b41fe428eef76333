// Package azclient provides what clients of Web PubSub that are built on the Azure
// SDK share: the HTTP transport, and the scope of their tokens.
//
//	o := azcore.ClientOptions{Transport: azclient.Transport(nil)}
package azclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// maxResponse is the largest response body that is read, in bytes. The largest
// documented one is a page of 200 connections.
const maxResponse = 16 << 20

// defaultTransport has the settings of azcore's own default, which cannot be
// configured not to follow redirects.
var defaultTransport = &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	ForceAttemptHTTP2:     true,
	MaxIdleConns:          100,
	MaxIdleConnsPerHost:   10,
	IdleConnTimeout:       90 * time.Second,
	TLSHandshakeTimeout:   10 * time.Second,
	ExpectContinueTimeout: time.Second,
	TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, Renegotiation: tls.RenegotiateFreelyAsClient},
	HTTP2:                 &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
}

// Transport returns a transport that sends requests with t, or with the settings
// of azcore if t is nil, but does not follow redirects and bounds responses to 16
// MiB. It does not change t.
//
// Neither the REST API of Web PubSub nor the token endpoints of Azure redirect.
// Following one would send the message and the credential to another server (an
// http.Client keeps Authorization if only the port differs, and every other secret
// header always), and a 302 would turn a PUT into a GET whose 200 reads as success.
func Transport(t policy.Transporter) policy.Transporter {
	client, ok := t.(*http.Client)
	switch {
	case t == nil:
		client = &http.Client{Transport: defaultTransport}
	case !ok:
		return transport{t}
	}
	clone := *client
	clone.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return transport{&clone}
}

type transport struct{ policy.Transporter }

func (t transport) Do(r *http.Request) (*http.Response, error) {
	sent := r.URL.String()
	resp, err := t.Transporter.Do(r)
	if err != nil {
		return resp, err
	}
	// A Transporter that is not an http.Client may have followed it already.
	if resp.Request != nil && resp.Request.URL != nil && resp.Request.URL.String() != sent {
		_ = resp.Body.Close()
		return nil, redirectError{fmt.Errorf("redirected to %s: redirects are not supported, and the transport of ClientOptions must not follow them", withoutQuery(resp.Request.URL))}
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxResponse}
	if target := redirectTarget(resp); target != "" {
		// The response is returned too, for policy.WithCaptureResponse.
		return resp, redirectError{fmt.Errorf("redirected to %s, which is not followed: %w", target, runtime.NewResponseError(resp))}
	}
	return resp, nil
}

// redirectError is not retried.
type redirectError struct{ error }

func (e redirectError) Unwrap() error { return e.error }

// NonRetriable marks the error for azcore's retry policy.
func (redirectError) NonRetriable() {}

// redirectTarget returns where a response redirects to, for an error, or "".
func redirectTarget(resp *http.Response) string {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return ""
	}
	u, err := resp.Location()
	if err != nil {
		return "an unknown location"
	}
	return withoutQuery(u)
}

// withoutQuery returns a URL as it can be shown: a query may contain a secret.
func withoutQuery(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// boundedBody fails when a response is too long, instead of reading it all.
type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

var errTooLarge = errors.New("the response exceeds 16 MiB: check that the endpoint is a Web PubSub resource")
