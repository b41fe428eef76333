package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"example.com/webpubsub/internal/names"
)

// Limits of one delivery. The reference names none; these are the ones of
// Microsoft's preview emulator, which follows the service's own code.
const (
	deliveryTimeout   = 100 * time.Second
	validationTimeout = 10 * time.Second
	maxBody           = 16 << 20
)

// retryDelays are the pauses after the first, second and third failed attempt.
var retryDelays = [...]time.Duration{time.Second, 3 * time.Second, 5 * time.Second}

// MaxAttempts is how often an event is sent at most.
const MaxAttempts = 1 + len(retryDelays)

// exchange is a request that may take several attempts.
type exchange struct {
	url     *url.URL
	header  http.Header
	body    []byte
	timeout time.Duration // for all attempts together, including reading the response
	cookies *Cookies      // of the connection
	about   Attempt       // the fields that all attempts share
}

// send makes attempts until one has a final result, and returns the last response,
// of any status, and the number of attempts. Errors never contain the URL, whose
// query can be secret.
func (d *Dispatcher) send(ctx context.Context, x exchange) (Response, int, error) {
	tooSlow := fmt.Errorf("no response within %v: %w", x.timeout, context.DeadlineExceeded)
	limited, cancel := context.WithTimeoutCause(ctx, x.timeout, tooSlow)
	defer cancel()
	for n := 1; ; n++ {
		res, again, err := d.try(limited, x, n)
		if !again || n > len(retryDelays) {
			return res, n, err
		}
		pause := retryDelays[n-1]
		d.o.Logger.LogAttrs(ctx, slog.LevelWarn, "event handler failed, retrying",
			slog.String("url", redactedURL(x.url)), slog.String("event", x.about.Event), slog.Int("attempt", n),
			slog.Int("status", res.Status), slog.Any("error", err), slog.Duration("delay", pause))
		if d.o.Sleep(limited, pause) != nil {
			if ctx.Err() != nil {
				return Response{}, n, ctx.Err()
			}
			return res, n, err // out of time: the last result is more useful
		}
	}
}

// try makes one attempt and reports whether to retry: after a broken connection,
// 408 and every 5xx, but not after 429.
func (d *Dispatcher) try(ctx context.Context, x exchange, n int) (res Response, again bool, err error) {
	begin := d.o.Now()
	defer func() {
		a := x.about
		a.URL, a.Number, a.Status, a.Err = redactedURL(x.url), n, res.Status, err
		a.Duration = d.o.Now().Sub(begin)
		if again && n <= len(retryDelays) {
			a.Retry = retryDelays[n-1]
		}
		d.o.Observe(ctx, a)
	}()
	req, err := http.NewRequestWithContext(ctx, x.about.Method, x.url.String(), bytes.NewReader(x.body))
	if err != nil {
		return Response{}, false, withoutURL(err)
	}
	req.Header = x.header.Clone()
	answer, err := d.transportFor(x).RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return Response{}, false, context.Cause(ctx)
		}
		return Response{}, true, fmt.Errorf("request failed: %w; check that the event handler is running", withoutURL(err))
	}
	defer answer.Body.Close()
	res = Response{
		Status:      answer.StatusCode,
		ContentType: answer.Header.Get("Content-Type"),
		Cookies:     x.cookies,
		Header:      answer.Header,
	}
	if res.Status/100 == 2 {
		res.Cookies = x.cookies.with(answer, x.url)
	}
	if states := answer.Header.Values("ce-connectionState"); len(states) > 0 {
		res.State = &states[len(states)-1] // several are an error of the handler; the last one is used
	}
	res.Metadata = names.MetadataFrom(answer.Header, true)
	res.Body, err = readBody(answer.Body)
	again = res.Status == http.StatusRequestTimeout || res.Status >= 500
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return res, false, context.Cause(ctx)
	case res.Status/100 != 2 || x.about.Method != http.MethodPost:
		err = nil // the body is not used
	}
	return res, again, err
}

// transportFor returns the way to an event handler.
func (d *Dispatcher) transportFor(x exchange) http.RoundTripper {
	if x.url.Scheme == tunnelScheme && d.o.Tunnel != nil {
		return d.o.Tunnel(x.about.Hub)
	}
	return d.transport
}

func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the response body: %w", err)
	case len(body) > maxBody:
		return nil, errors.New("the response has more than 16 MiB; send large data another way and reply with a link")
	}
	return body, nil
}

// withoutURL unwraps the error of an HTTP client, which shows the whole URL.
func withoutURL(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}
