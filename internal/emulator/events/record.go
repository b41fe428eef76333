package events

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/upstream"
)

// record keeps the newest request of a delivery, and its response, for the journal.
// A nil record keeps nothing.
type record struct {
	by *journal.Cause

	mu sync.Mutex
	x  *journal.Exchange
}

func newRecord(by *journal.Cause) *record {
	if by == nil {
		return nil
	}
	return &record{by: by}
}

type recordKey struct{}

// in has a client of [NewTransport] record its requests.
func (r *record) in(ctx context.Context) context.Context {
	if r == nil {
		return ctx
	}
	return context.WithValue(ctx, recordKey{}, r)
}

func recordOf(ctx context.Context) *record {
	r, _ := ctx.Value(recordKey{}).(*record)
	return r
}

func (r *record) cause() *journal.Cause {
	if r == nil {
		return nil
	}
	return r.by
}

// detail returns what was recorded of a delivery. event is what can be replayed; nil
// if nothing can.
func (r *record) detail(event *upstream.Event) *journal.Detail {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &journal.Detail{Upstream: r.x}
	if event != nil && len(event.Body) <= journal.MaxPayload {
		d.Event = event
	}
	return d
}

// recorder records the requests that it makes for a [record].
type recorder struct{ base announcer }

func (t recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := recordOf(r.Context())
	if rec == nil || r.Method != http.MethodPost { // a validation is for all events
		return t.base.RoundTrip(r)
	}
	x := &journal.Exchange{Method: r.Method, URL: journal.RedactURL(r.URL.String()), RequestHeaders: journal.RedactHeader(r.Header)}
	if r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			data, _ := io.ReadAll(body)
			p := journal.NewPayload(data, r.Header.Get("Content-Type"))
			//lint:ignore SA1008 the name is sent in this spelling
			if slices.Contains(r.Header["ce-type"], "azure.webpubsub.sys.connect") { // it repeats the client's request
				p = journal.RedactJSON(p)
			}
			x.RequestBody = &p
		}
	}
	begin := time.Now()
	keep := func(done func(*journal.Exchange)) {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		y := *x // what was handed out does not change
		done(&y)
		y.DurationMs = journal.Milliseconds(time.Since(begin))
		rec.x = &y
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		keep(func(x *journal.Exchange) { x.Error = err.Error() })
		return nil, err
	}
	x.Status, x.ResponseHeaders = res.StatusCode, journal.RedactHeader(res.Header)
	keep(func(*journal.Exchange) {})
	body := &recordedBody{ReadCloser: res.Body}
	body.end = func() {
		p := body.kept.Payload(res.Header.Get("Content-Type"))
		keep(func(x *journal.Exchange) { x.ResponseBody = &p })
	}
	res.Body = body
	return res, nil
}

// CloseIdleConnections closes those of the base.
func (t recorder) CloseIdleConnections() { t.base.CloseIdleConnections() }

// recordedBody keeps the beginning of what is read, up to the end or the error.
type recordedBody struct {
	io.ReadCloser
	kept journal.Body
	end  func()
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.kept.Add(p[:n])
	if err != nil && b.end != nil {
		b.end()
		b.end = nil
	}
	return n, err
}
