package rest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
)

// record has the call's request and response kept for the journal, if it keeps
// such. Call what it returns at the end.
func (c *call) record() (end func(time.Duration)) {
	if c.by == nil {
		return func(time.Duration) {}
	}
	x := journal.NewExchange(c.r)
	c.by.SetRequest(x)
	body := &keptBody{ReadCloser: c.r.Body}
	c.r.Body = body
	w := &keptResponse{ResponseWriter: c.w, status: http.StatusOK}
	c.w = w
	return func(took time.Duration) {
		if body.n > 0 {
			x.RequestBody = body.payload(c.r.Header)
		}
		if w.n > 0 {
			x.ResponseBody = w.payload(w.Header())
			if strings.HasSuffix(c.r.URL.Path, ":generateToken") {
				p := journal.RedactJSON(*x.ResponseBody)
				x.ResponseBody = &p
			}
		}
		x.Status, x.ResponseHeaders = w.status, journal.RedactHeader(w.Header())
		x.DurationMs = float64(took.Microseconds()) / 1000
		c.by.SetRequest(x)
	}
}

// kept is the beginning of a body.
type kept struct {
	data bytes.Buffer
	n    int
}

func (k *kept) add(p []byte) {
	k.n += len(p)
	k.data.Write(p[:min(len(p), journal.MaxPayload-k.data.Len())])
}

func (k *kept) payload(h http.Header) *journal.Payload {
	return &journal.Payload{Data: k.data.Bytes(), Bytes: k.n, ContentType: h.Get("Content-Type")}
}

type keptBody struct {
	io.ReadCloser
	kept
}

func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.add(p[:n])
	return n, err
}

type keptResponse struct {
	http.ResponseWriter
	kept
	status int
}

func (w *keptResponse) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *keptResponse) Write(p []byte) (int, error) {
	w.add(p)
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *keptResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
