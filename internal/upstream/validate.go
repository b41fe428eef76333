package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/webpubsub/internal/clip"
)

// maxShown bounds what errors quote of text from others, in bytes.
const maxShown = 128

// How long a validation is valid, and the delays after a failed one. The reference
// specifies "periodically"; the numbers are those of Microsoft's preview emulator.
const (
	validationAge = 60 * time.Second
	minBackoff    = time.Second
	maxBackoff    = 60 * time.Second
)

// validationKey identifies a validation. {event} is always
// "validate" here, so one validation covers all events of a handler and hub.
type validationKey struct{ url, audience, origin string }

// maxValidations bounds the number of results that are kept: clients choose the
// origin.
const maxValidations = 1000

// validation is the state of one key. Dispatcher.mu guards it.
type validation struct {
	last    *validationRun // the last one that ended; nil before the first success
	current *validationRun // the one under way, or nil
	due     time.Time      // when last expires
	backoff time.Duration
}

// validationRun is one preflight that several events may wait for.
type validationRun struct {
	done chan struct{}
	err  error // valid once done is closed
}

// Validate sends the abuse protection request (preflight) to a handler of a hub. All
// events wait for the first response. A success is valid for 60 seconds; then the
// next event starts a new preflight in the background and is delivered without
// waiting for it. If that preflight fails, events fail immediately, and the first
// event after 1 second, then 2, 4 and so on up to 60, starts another one.
//
// The error is a [*ValidationError], ctx's own, or [ErrClosed]. Deliver calls
// Validate itself; it can also be used to check a handler without sending an event.
func (d *Dispatcher) Validate(ctx context.Context, h Handler, hub string) error {
	return d.validate(ctx, h, hub, d.o.Origin)
}

func (d *Dispatcher) validate(ctx context.Context, h Handler, hub, origin string) error {
	u, err := resolve(h.URL, hub, "validate")
	if err != nil {
		return err
	}
	run, err := d.validationRun(h, u, hub, origin)
	if run == nil {
		return err
	}
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the validation of event handler %s: %w", redactedURL(u), ctx.Err())
	}
}

// validationRun returns the run to wait for, or nil and the result if it is already
// known.
func (d *Dispatcher) validationRun(h Handler, u *url.URL, hub, origin string) (*validationRun, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	key := validationKey{u.String(), h.Audience, origin}
	v := d.valid[key]
	if v == nil {
		for old, v := range d.valid {
			if len(d.valid) < maxValidations {
				break
			}
			if v.current == nil {
				delete(d.valid, old)
			}
		}
		v = &validation{}
		d.valid[key] = v
	}
	if v.current == nil && !d.o.Now().Before(v.due) {
		v.current = &validationRun{done: make(chan struct{})}
		d.work.Go(func() { d.revalidate(key, v, h, u, hub) })
	}
	switch {
	case v.last != nil && v.last.err == nil:
		return nil, nil
	case v.current != nil:
		return v.current, nil
	default:
		return nil, v.last.err
	}
}

// revalidate performs v.current. It runs under the dispatcher's context, since the
// event that started it is not the only one that waits.
func (d *Dispatcher) revalidate(key validationKey, v *validation, h Handler, u *url.URL, hub string) {
	err := d.preflight(d.ctx, h, u, hub, key.origin)
	d.mu.Lock()
	defer d.mu.Unlock()
	run := v.current
	run.err, v.current = err, nil
	switch {
	case d.closed:
		run.err = ErrClosed
	case err == nil:
		v.last, v.backoff, v.due = run, 0, d.o.Now().Add(validationAge)
	case v.last == nil:
		// Never valid so far: the handler may be about to start, and the next
		// event asks again.
		delete(d.valid, key)
	default:
		v.backoff = min(max(2*v.backoff, minBackoff), maxBackoff)
		v.last, v.due = run, d.o.Now().Add(v.backoff)
		d.o.Logger.LogAttrs(d.ctx, slog.LevelWarn, "event handler is no longer valid",
			slog.Any("error", err), slog.Duration("again in", v.backoff))
	}
	close(run.done)
}

// preflight sends OPTIONS, and GET if the response to OPTIONS is 404.
func (d *Dispatcher) preflight(ctx context.Context, h Handler, u *url.URL, hub, origin string) error {
	header := http.Header{headerVersion: {"1.0"}, headerOrigin: {origin}, "User-Agent": {""}}
	// Whether the service sends the token with the preflight is not documented.
	// Microsoft's sample of a handler behind App Service authentication, which
	// rejects anonymous requests, can only work if it does.
	if err := d.authorize(ctx, h, header); err != nil {
		return &ValidationError{URL: redactedURL(u), Reason: err.Error(), Err: err}
	}
	status := 0
	for _, method := range []string{http.MethodOptions, http.MethodGet} {
		res, _, err := d.send(ctx, exchange{
			url: u, header: header, timeout: validationTimeout,
			about: Attempt{Method: method, Template: h.URL, Event: "validate", Hub: hub},
		})
		if err != nil {
			return &ValidationError{URL: redactedURL(u), Reason: method + ": " + err.Error(), Err: err}
		}
		status = res.Status
		if status != http.StatusNotFound {
			if reason := rejection(method, res, origin); reason != "" {
				return &ValidationError{URL: redactedURL(u), Reason: reason, Status: status}
			}
			return nil
		}
	}
	return &ValidationError{
		URL: redactedURL(u), Status: status,
		Reason: "it responded with 404 to OPTIONS and to GET: compare the path of the URL template with the handler's; on Azure Functions, list OPTIONS among the methods of the trigger",
	}
}

// rejection returns why the response to the preflight does not allow the origin, or
// "".
func rejection(method string, res Response, origin string) string {
	if res.Status/100 != 2 {
		return fmt.Sprintf("it responded with %d to %s: %s", res.Status, method, preflightRemedy(res.Status))
	}
	const header = "WebHook-Allowed-Origin"
	values := res.Header.Values(header)
	for _, v := range values {
		if v = strings.TrimSpace(v); v == "*" || strings.EqualFold(v, origin) {
			return ""
		}
	}
	if len(values) == 0 {
		return fmt.Sprintf("%s is missing from the %d response to %s: the handler must respond to the preflight with %s: * or %s; check that this is the handler's address and that no proxy or CORS rule responds instead",
			header, res.Status, method, header, origin)
	}
	for _, v := range values {
		// The JavaScript library responds with host and port of its allowedEndpoints.
		if host, _, err := net.SplitHostPort(strings.TrimSpace(v)); err == nil && strings.EqualFold(host, strings.Trim(origin, "[]")) {
			return fmt.Sprintf("%s is %q, and the service compares it with its host, which has no port: omit the port; in the JavaScript library, give an allowedEndpoints entry without port, such as http://%s", header, clip.Text(v, maxShown), origin)
		}
		if strings.Contains(v, ",") {
			return fmt.Sprintf("%s %q is a list: the service requires one header line for each origin", header, clip.Text(v, maxShown))
		}
	}
	return fmt.Sprintf("%s is %q and this service is %q: add the service's host to the handler's allowed origins", header, clip.Text(strings.Join(values, " "), maxShown), origin)
}

func preflightRemedy(status int) string {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "check that the URL template contains the function key (?code=…), and that no App Service authentication (EasyAuth) or gateway in front of the handler rejects the request; the preflight has no other key"
	case status == http.StatusMethodNotAllowed:
		return "the handler must respond to OPTIONS; on Azure Functions, list OPTIONS among the methods of the trigger"
	case status/100 == 3:
		return "redirects are not followed; put the final address into the URL template (https, trailing slash)"
	case status == http.StatusBadRequest:
		return "the handler does not know this origin; add the service's host to its allowed origins"
	case status == http.StatusRequestTimeout || status >= 500:
		return "the handler failed or is still starting; see its log"
	}
	return "only 2xx allows deliveries"
}
