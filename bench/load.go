package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const httpConnections = 16

// loadHTTP keeps a handler busy over keep-alive connections, each of which has
// one request in flight, and reads and checks every answer.
func loadHTTP(ctx context.Context, s settings, p *process, e event) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var measuring, stopping atomic.Bool
	took := make([][]time.Duration, httpConnections)
	for i := range httpConnections {
		wg.Go(func() {
			w, err := newHTTPWorker(p.ready, e.request(fmt.Sprintf("connection-%d", i)), http.StatusOK, e.check)
			if err == nil {
				w.number = i * 1_000_000
			}
			for err == nil && !stopping.Load() && ctx.Err() == nil {
				var d time.Duration
				if d, err = w.once(); measuring.Load() {
					took[i] = append(took[i], d)
				}
			}
			if err != nil {
				cancel(err)
			}
			w.close()
		})
	}
	wait(ctx, s.duration/3) // until just-in-time compilers and caches are warm
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	measuring.Store(true)
	started := time.Now()
	wait(ctx, s.duration)
	measuring.Store(false)
	elapsed := time.Since(started)
	after, err := p.cpu()
	stopping.Store(true)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return sample{}, cause
	}
	if err != nil {
		return sample{}, err
	}
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	n := float64(len(all))
	one := sample{value: n / (after - before).Seconds(), rate: n / elapsed.Seconds()}
	one.p50, one.p99, one.max = percentiles(all)
	return one, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// httpWorker repeats one request over one connection.
type httpWorker struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
	at      int // where the placeholder stands
	number  int
	status  int
	check   func(number string, body []byte) error // may be nil
}

func newHTTPWorker(addr string, r *http.Request, status int, check func(string, []byte) error) (*httpWorker, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if r.Host == "" || r.Host == "example.com" { // what httptest fills in
		r.Host = addr
	}
	r.RequestURI = ""
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	w := &httpWorker{conn: conn, r: bufio.NewReader(conn), request: b.Bytes(), status: status, check: check}
	w.at = bytes.Index(w.request, []byte(placeholder))
	return w, nil
}

// once sends the request with the next number in place of the placeholder.
func (w *httpWorker) once() (time.Duration, error) {
	w.number++
	number := fmt.Sprintf("%08d", w.number)
	copy(w.request[w.at:], number)
	return w.exchange(number)
}

func (w *httpWorker) exchange(number string) (time.Duration, error) {
	started := time.Now()
	if _, err := w.conn.Write(w.request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	took := time.Since(started)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != w.status {
		return 0, fmt.Errorf("answered %s: %s", resp.Status, body)
	}
	if w.check == nil {
		return took, nil
	}
	return took, w.check(number, body)
}

func (w *httpWorker) close() {
	if w != nil {
		_ = w.conn.Close()
	}
}
