package hosting

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// lambdaEvent is what is used of an event of payload format 2.0. A Function URL
// and an HTTP API send the same fields; the rest of the event is not decoded,
// so that what an authorizer of another kind sends cannot fail a request.
// (Amazon API Gateway developer guide, payload format version 2.0.)
type lambdaEvent struct {
	Version         string            `json:"version"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	RequestContext  struct {
		DomainName string          `json:"domainName"`
		Stage      string          `json:"stage"`
		Authorizer json.RawMessage `json:"authorizer"`
		HTTP       struct {
			Method   string `json:"method"`
			Protocol string `json:"protocol"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
}

var (
	errEvent = errors.New("the event is not an HTTP request of payload format 2.0: " +
		"invoke this function through a Function URL, or through an HTTP API with PayloadFormatVersion 2.0")
	errBody = errors.New("the body of the event is not valid base64")
)

// decodeEvent returns the request that the event describes, in the shape that
// a net/http server gives to its handlers.
func decodeEvent(ctx context.Context, payload []byte) (*http.Request, error) {
	var e lambdaEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("%w (%w)", errEvent, err)
	}
	if e.Version != "2.0" || e.RequestContext.HTTP.Method == "" {
		return nil, errEvent
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, errBody
		}
	}

	r := &http.Request{
		Method:        e.RequestContext.HTTP.Method,
		URL:           &url.URL{RawQuery: e.RawQueryString},
		Header:        make(http.Header, len(e.Headers)+1),
		Host:          e.RequestContext.DomainName,
		Body:          http.NoBody,
		ContentLength: int64(len(body)),
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.URL.Path, r.URL.RawPath = paths(e.RawPath, e.RequestContext.Stage)
	r.RequestURI = r.URL.RequestURI()
	r.Proto, r.ProtoMajor, r.ProtoMinor = protocol(e.RequestContext.HTTP.Protocol)
	if ip := e.RequestContext.HTTP.SourceIP; ip != "" {
		// The port is not known, but callers of net.SplitHostPort expect one.
		r.RemoteAddr = net.JoinHostPort(ip, "0")
	}
	for name, value := range e.Headers {
		r.Header.Add(name, value)
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	r.Header.Del("Host") // net/http keeps it in r.Host alone
	setPrincipal(r.Header, e.RequestContext.Authorizer)
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return r.WithContext(ctx), nil
}

// paths returns the decoded and the encoded path without the stage, with which
// the path of an HTTP API begins unless the stage is $default.
func paths(raw, stage string) (path, rawPath string) {
	if stage != "" && stage != "$default" {
		if rest, ok := cutPath(raw, "/"+stage); ok {
			raw = rest
		}
	}
	if !strings.HasPrefix(raw, "/") {
		raw = "/" + raw
	}
	// Whether rawPath is still percent-encoded is not documented for both
	// fronts; what cannot be decoded is taken as decoded already.
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return raw, ""
	}
	return decoded, raw
}

func protocol(s string) (proto string, major, minor int) {
	major, minor, ok := http.ParseHTTPVersion(s)
	if !ok {
		return "HTTP/1.1", 1, 1
	}
	return s, major, minor
}
