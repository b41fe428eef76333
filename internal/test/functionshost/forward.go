package functionshost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

var errChunked = errors.New("a request body without a length cannot be forwarded")

// forward rebuilds requests as enableForwardingHttpRequest does, and buffers
// responses.
func (h *Host) forward() http.Handler {
	client := h.newClient()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, body, err := h.forwardOne(client, r)
		if err != nil {
			h.logError(err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		header := w.Header()
		for name, values := range resp.Header {
			if name == "Allow" || name == "Vary" {
				values = strings.Split(strings.Join(values, ","), ",")
				for i := range values {
					values[i] = strings.TrimSpace(values[i])
				}
			}
			header[name] = append(header[name], values...)
		}
		switch resp.StatusCode {
		case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
			h.logError(fmt.Errorf("writing to the response body is invalid for responses with status code %d", resp.StatusCode))
			breakConnection(w, resp.StatusCode)
			return
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(body)
	})
}

func (h *Host) forwardOne(client client, r *http.Request) (*http.Response, []byte, error) {
	if r.ContentLength < 0 {
		return nil, nil, errChunked
	}
	// The request to the handler continues after the client has disconnected.
	out := r.Clone(context.WithoutCancel(r.Context()))
	out.RequestURI = ""
	out.URL = handlerURL(net.JoinHostPort("127.0.0.1", h.port), r.URL.EscapedPath(), rebuildQuery(r.URL.RawQuery))
	out.Header = joined(r.Header)
	out.Header.Del("Content-Encoding")
	out.Header.Set("User-Agent", strings.TrimSpace(out.Header.Get("User-Agent")+" Azure-Functions-Host/"+h.options.version()))
	if r.ContentLength == 0 {
		out.Body = http.NoBody
		out.Header.Del("Content-Type")
	}
	resp, err := client.RoundTrip(out)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer // the whole response before its first byte
	if _, err := io.Copy(&body, resp.Body); err != nil {
		return nil, nil, err
	}
	return resp, body.Bytes(), checkASCII(resp.Header)
}

// breakConnection sends a response that has no body and closes the connection
// without announcing it (Connection: close).
func breakConnection(w http.ResponseWriter, status int) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(buf, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = w.Header().Write(buf)
	_, _ = buf.WriteString("\r\n")
	_ = buf.Flush()
}

// rebuildQuery parses a query as ASP.NET Core does, joins the values of equal
// keys by commas, and encodes the result. A percent sign that begins no escape
// is kept.
func rebuildQuery(raw string) string {
	var keys []string
	values := make(map[string][]string)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key = unescape(key)
		if _, ok := values[key]; !ok {
			keys = append(keys, key)
		}
		values[key] = append(values[key], unescape(value))
	}
	var out []string
	for _, key := range keys {
		out = append(out, escape(key)+"="+escape(strings.Join(values[key], ",")))
	}
	return strings.Join(out, "&")
}

func unescape(s string) string {
	s = strings.ReplaceAll(s, "+", " ")
	if out, err := url.PathUnescape(s); err == nil {
		return out
	}
	return s
}

func escape(s string) string {
	return strings.NewReplacer("+", "%20", "%2C", ",").Replace(url.QueryEscape(s))
}
