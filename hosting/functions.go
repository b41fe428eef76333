package hosting

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Headers that the Functions host sets on the requests that it passes on: the
// first two over any value that the client sent, the last one only if it proxies
// requests.
const (
	headerHostVersion = "X-Azure-Functions-HostVersion"
	headerInvocation  = "X-Azure-Functions-InvocationId"
	headerProxied     = "X-Ms-Invocation-Id"
)

// functionsHandler adapts h to the Functions host: the invocation's ID is in the
// context, the host's own probes get their response here, and a response is one
// that the host can pass on.
func functionsHandler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(headerInvocation)
		// The host probes GET / every 25 ms until there is any response, and now
		// and then later. A client's request for / carries an invocation ID.
		if id == "" && r.Method == http.MethodGet && r.URL.Path == "/" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if id != "" {
			r = r.WithContext(WithInvocationID(r.Context(), id))
		}
		out := &functionsWriter{ResponseWriter: w, forwarded: forwarded(r)}
		if out.forwarded {
			// The response to a request without conditions is never 304.
			r.Header.Del("If-None-Match")
			r.Header.Del("If-Modified-Since")
		}
		h.ServeHTTP(out, r)
		if !out.begun {
			encodeHeader(w.Header())
		}
	})
}

// forwarded reports whether the host has rebuilt the request
// (enableForwardingHttpRequest) rather than proxied it. One package runs on hosts
// of both kinds, so that the request has to show it.
//
// A host that forwards appends its name to User-Agent. A client could send that
// name through a host that proxies, which does no harm. It cannot hide the name
// from a host that forwards, but it could send x-ms-invocation-id there, which is
// therefore looked at last.
func forwarded(r *http.Request) bool {
	agent := r.UserAgent()
	product, _, _ := strings.Cut(agent[strings.LastIndexByte(agent, ' ')+1:], "/")
	return product == "Azure-Functions-Host" ||
		r.Header.Get(headerHostVersion) != "" && r.Header.Get(headerProxied) == ""
}

// functionsWriter changes two things in a response that the Functions host would
// not pass on.
//
// A host that forwards writes to the body of any response. For a status that
// allows no body this fails, and the host closes the client's connection without
// announcing it, so that the next request on it is lost: of 100 disconnected
// events half were. Such a status becomes 200 with an empty body.
//
// For a header value with other characters than ASCII the host responds with 500,
// whether it forwards or proxies. It is percent-encoded, as in a URL.
type functionsWriter struct {
	http.ResponseWriter
	forwarded bool

	begun bool
	empty bool // the status allowed no body
}

// Unwrap is for [http.ResponseController].
func (w *functionsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *functionsWriter) WriteHeader(status int) {
	encodeHeader(w.Header())
	if final(status) && !w.begun {
		w.begun = true
		switch status {
		case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
			if w.forwarded {
				status, w.empty = http.StatusOK, true
				w.Header().Set("Content-Length", "0")
			}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *functionsWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.empty {
		return 0, http.ErrBodyNotAllowed
	}
	return w.ResponseWriter.Write(p)
}

// FlushError is for [http.ResponseController].
func (w *functionsWriter) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// encodeHeader percent-encodes the bytes of header values that are not ASCII.
func encodeHeader(h http.Header) {
	for _, values := range h {
		for i, value := range values {
			values[i] = encodeASCII(value)
		}
	}
}

func encodeASCII(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
	if i < 0 {
		return s
	}
	out := []byte(s[:i])
	for _, c := range []byte(s[i:]) {
		if c < utf8.RuneSelf {
			out = append(out, c)
		} else {
			out = fmt.Appendf(out, "%%%02X", c)
		}
	}
	return string(out)
}
