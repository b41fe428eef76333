package rest

import (
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
		if body.kept.Len() > 0 {
			p := body.kept.Payload(c.r.Header.Get("Content-Type"))
			x.RequestBody = &p
		}
		if w.kept.Len() > 0 {
			p := w.kept.Payload(w.Header().Get("Content-Type"))
			if strings.HasSuffix(c.r.URL.Path, ":generateToken") {
				p = journal.RedactJSON(p)
			}
			x.ResponseBody = &p
		}
		x.Status, x.ResponseHeaders = w.status, journal.RedactHeader(w.Header())
		x.DurationMs = journal.Milliseconds(took)
		c.by.SetRequest(x)
	}
}

type keptBody struct {
	io.ReadCloser
	kept journal.Body
}

func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.kept.Add(p[:n])
	return n, err
}

type keptResponse struct {
	http.ResponseWriter
	kept   journal.Body
	status int
}

func (w *keptResponse) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *keptResponse) Write(p []byte) (int, error) {
	w.kept.Add(p)
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *keptResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
