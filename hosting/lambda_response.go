package hosting

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// lambdaResponse is a response of payload format 2.0.
type lambdaResponse struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers,omitempty"`
	Cookies         []string          `json:"cookies,omitempty"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded,omitempty"`
}

// plainResponse is a response with a status and its name.
func plainResponse(status int) lambdaResponse {
	return lambdaResponse{
		StatusCode: status,
		Headers:    map[string]string{"Content-Type": "text/plain; charset=utf-8"},
		Body:       http.StatusText(status) + "\n",
	}
}

// recorder is the http.ResponseWriter of an invocation. It follows the rules of
// net/http's own: the header is fixed by the first write, the content type is
// guessed if there is none, and some statuses have no body.
type recorder struct {
	method string
	header http.Header
	status int         // 0 until the header is written
	sent   http.Header // the header as it was then
	body   bytes.Buffer
}

func newRecorder(method string) *recorder {
	return &recorder{method: method, header: make(http.Header)}
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %d", status)) // as net/http does
	}
	// Informational responses cannot be sent ahead of a buffered one.
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	w.sent = w.header.Clone()
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if w.method == http.MethodHead {
		return len(p), nil
	}
	if w.body.Len() == 0 && len(p) > 0 && w.sent.Get("Content-Encoding") == "" {
		if _, ok := w.sent["Content-Type"]; !ok {
			w.sent.Set("Content-Type", http.DetectContentType(p))
		}
	}
	return w.body.Write(p)
}

// response returns what was recorded. A header with several values becomes one
// comma-separated value, which is all that the format can carry; each
// Set-Cookie stays by itself.
func (w *recorder) response() lambdaResponse {
	w.WriteHeader(http.StatusOK)
	encodeHeader(w.sent)
	out := lambdaResponse{StatusCode: w.status, Headers: make(map[string]string, len(w.sent))}
	for name, values := range w.sent {
		if len(values) == 0 {
			continue
		}
		if name == "Set-Cookie" {
			out.Cookies = values
			continue
		}
		out.Headers[name] = strings.Join(values, ", ")
	}
	if isText(w.sent) && utf8.Valid(w.body.Bytes()) {
		out.Body = w.body.String()
	} else if w.body.Len() > 0 {
		out.Body = base64.StdEncoding.EncodeToString(w.body.Bytes())
		out.IsBase64Encoded = true
	}
	return out
}

// isText reports whether a body may travel in the JSON response as it is. A
// body that is compressed, or of another type, goes as base64.
func isText(h http.Header) bool {
	if h.Get("Content-Encoding") != "" {
		return false
	}
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return false
	}
	return strings.HasPrefix(media, "text/") ||
		media == "application/json" || strings.HasSuffix(media, "+json") ||
		media == "application/javascript" ||
		media == "application/xml" || strings.HasSuffix(media, "+xml")
}
