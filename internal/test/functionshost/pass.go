package functionshost

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
)

// workerURL is the context key of the address to which a request is passed on.
type workerURL struct{}

func targetOf(r *http.Request) *url.URL { return r.Context().Value(workerURL{}).(*url.URL) }

// proxy passes requests on as enableProxyingHttpRequest does: streamed, with
// method, path and query unchanged. The Host header stays behind; the public
// host is in X-Forwarded-Host.
func (*Host) proxy(transport http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(targetOf(r.In))
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.SetXForwarded()
		},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusInternalServerError)
		},
	}
}

// forward rebuilds requests as enableForwardingHttpRequest does. A body without
// a length is lost, and so is the type of an absent body; of a query's keys
// that are given several times the values are joined.
func (*Host) forward(transport http.RoundTripper) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := *targetOf(r)
		target.Path, target.RawPath = r.URL.Path, r.URL.RawPath
		query := make(url.Values)
		for key, values := range r.URL.Query() {
			query.Set(key, strings.Join(values, ","))
		}
		target.RawQuery = query.Encode()

		out := r.Clone(r.Context())
		out.RequestURI = ""
		out.URL = &target
		out.Header.Del("Content-Encoding")
		if agent := out.Header.Get("User-Agent"); agent != "" {
			out.Header.Set("User-Agent", agent+" Azure-Functions-Host/4.1052.200.0")
		}
		if r.ContentLength <= 0 {
			out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, 0, nil
			out.Header.Del("Content-Type")
		}

		resp, err := transport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		defer resp.Body.Close()
		var body bytes.Buffer // the whole answer before its first byte
		if _, err := io.Copy(&body, resp.Body); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		for name, values := range resp.Header {
			w.Header()[name] = slices.Concat(w.Header()[name], values)
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(body.Bytes())
	})
}
