package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/upstream"
)

const subprotocol = "json.webpubsub.azure.v1"

// userEvent returns the second event of a connection; the first is connected. The
// data is read from standard input if it is "-".
func (e *env) userEvent(name, data, kind string) (upstream.Event, error) {
	b := []byte(data)
	if data == "-" {
		var err error
		if b, err = e.read(data); err != nil {
			return upstream.Event{}, err
		}
	}
	m, err := message(kind, b)
	if err != nil {
		return upstream.Event{}, fmt.Errorf("-data: %w", err)
	}
	ev := upstream.Event{Kind: upstream.User, Name: name, ID: 2, ContentType: payload.ContentType(m.Type), Body: m.Data}
	if m.Type != webpubsub.DataTypeBinary {
		ev.ContentType += "; charset=utf-8"
	}
	return ev, nil
}

// events sends the events of one connection.
func (c *checker) events(ctx context.Context, user upstream.Event) {
	c.forged(ctx)
	if len(c.keys) == 0 {
		c.note("signed events", "not sent: they need the service's access key (-connection-string). A service without keys authenticates by a token of its managed identity, which nothing else can get; the responses to it are in the service's live trace")
		return
	}
	d := c.dispatcher(c.origin, c.keys)
	defer d.Close()
	id := "check-" + randomHex() // a signature is valid for its connection alone
	state, ok := c.connect(ctx, d, id)
	if !ok {
		return
	}
	c.nonASCII(ctx, d)
	user.Hub, user.ConnectionID, user.UserID, user.State, user.Subprotocol = c.hub, id, c.user, state, subprotocol
	c.userEvent(ctx, d, user)
}

// preflight sends the validation request of the service. It returns the status of
// the response, 0 if there is none.
func (c *checker) preflight(ctx context.Context) (status int, passed bool) {
	d := c.dispatcher(c.origin, nil)
	defer d.Close()
	limited, cancel := c.limit(ctx)
	defer cancel()
	err := d.Validate(limited, c.handler, c.hub)
	status = c.wire.lastResponse().status
	if err != nil {
		c.fail("preflight", c.explainPreflight(ctx, err)...)
		return status, false
	}
	allowed := strings.Join(c.wire.lastResponse().header.Values("WebHook-Allowed-Origin"), ", ")
	c.ok("preflight", "%s, allows %s", c.wire.lastResponse(), allowed)
	if strings.Contains(allowed, "*") {
		c.note("origins", "every service may send events, and its signature or token must show which one it is; name the service's host if you can")
	}
	return status, true
}

// forged sends an event that no service has signed.
func (c *checker) forged(ctx context.Context) {
	d := c.dispatcher(c.origin, []string{randomHex()})
	defer d.Close()
	_, err := c.deliver(ctx, d, c.connectEvent("check-"+randomHex(), c.user))
	c.unknown = c.wire.lastResponse()
	status := c.unknown.status
	switch {
	case err == nil:
		c.fail("forged event", fmt.Sprintf("%s: it was accepted, so anyone can send events in the name of any user", c.wire.lastResponse()),
			"verify ce-signature with the service's keys, or its token: set WebPubSubConnectionString, WebPubSubAccessKeys or the WebPubSubEvent settings")
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		c.ok("forged event", "%s, rejected", c.wire.lastResponse())
	case status == 0:
		c.fail("forged event", c.explainTransport(err)...)
	default:
		c.note("forged event", fmt.Sprintf("%s: rejected, though not with 401, which shows nothing about its verification", c.wire.lastResponse()))
	}
}

func (c *checker) connectEvent(id, user string) upstream.Event {
	body, _ := json.Marshal(upstream.ConnectRequest{ // strings always encode
		Claims:       token.ClaimsMap(map[string]any{"sub": user}),
		Subprotocols: []string{subprotocol},
	})
	return upstream.Event{Kind: upstream.Connect, Hub: c.hub, ConnectionID: id, UserID: user, Body: body}
}

// connect returns the state that the handler gave to the connection.
func (c *checker) connect(ctx context.Context, d *upstream.Dispatcher, id string) (*string, bool) {
	res, err := c.deliver(ctx, d, c.connectEvent(id, c.user))
	if err != nil {
		c.fail("connect", c.explainEvent(err)...)
		return nil, false
	}
	accepted, err := upstream.ParseConnectResponse(res.Body)
	if err != nil {
		c.fail("connect", c.wire.lastResponse().String(), err.Error())
		return nil, false
	}
	first := c.wire.lastResponse()
	text := first.String() + ", accepted"
	if accepted.UserID != nil {
		text += " as " + clean(*accepted.UserID)
	}
	if len(accepted.Groups) > 0 {
		text += ", groups " + clean(strings.Join(accepted.Groups, " "))
	}
	if accepted.Roles != nil {
		text += ", roles " + clean(strings.Join(*accepted.Roles, " "))
	}
	c.ok("connect", "%s", text)
	if first.took > c.slow {
		c.slowResponse(ctx, d, first)
	}
	return res.State, true
}

// slowResponse distinguishes a cold start from a handler that is always slow. Every client
// waits for the response to connect.
func (c *checker) slowResponse(ctx context.Context, d *upstream.Dispatcher, first response) {
	_, err := c.deliver(ctx, d, c.connectEvent("check-"+randomHex(), c.user))
	again := c.wire.lastResponse()
	switch {
	case err != nil:
		c.fail("slow response", c.explainEvent(err)...)
	case again.took > c.slow:
		c.fail("slow response", fmt.Sprintf("connect took %v, and %v the second time: every client waits that long before it is connected", short(first.took), short(again.took)),
			"look for calls of other services in the connect callback, and whether the application runs in the region of the service")
	default:
		c.note("slow response", fmt.Sprintf("the first connect took %v, the second %v: the application was started for it; always-ready instances avoid that", short(first.took), short(again.took)))
	}
}

// nonASCII sends a connect event of a user whose ID the Functions host does not
// pass on.
func (c *checker) nonASCII(ctx context.Context, d *upstream.Dispatcher) {
	const name = "non-ASCII user"
	_, err := c.deliver(ctx, d, c.connectEvent("check-"+randomHex(), "webpubsub-check-ü"))
	last := c.wire.lastResponse()
	switch {
	case err == nil:
		c.ok(name, "%s, accepted", last)
	case last.status == http.StatusInternalServerError && last.body == "":
		c.note(name, fmt.Sprintf("%s: the Functions host rejects a request whose headers are not ASCII, and the handler is not called; a user whose ID has other characters cannot connect: give out IDs in ASCII, as negotiate of this application does", last))
	case last.status >= 400 && last.status < 500:
		c.ok(name, "%s: the handler is called, and rejects the user", last)
	default:
		c.note(name, strings.Join(c.explainEvent(err), "; "))
	}
}

func (c *checker) userEvent(ctx context.Context, d *upstream.Dispatcher, ev upstream.Event) {
	res, err := c.deliver(ctx, d, ev)
	switch {
	case err == nil && len(res.Body) == 0:
		c.ok("user event", "%s, no reply", c.wire.lastResponse())
	case err == nil:
		c.ok("user event", "%s, reply %s", c.wire.lastResponse(), clean(string(res.Body)))
	case c.wire.lastResponse().status == http.StatusNotFound && strings.Contains(c.wire.lastResponse().body, "no callback"):
		c.ok("user event", "%s: verified, and the handler has no callback for %q; -event and -data send one that it handles", c.wire.lastResponse(), ev.Name)
	default:
		c.fail("user event", c.explainEvent(err)...)
	}
}

// dispatcher sends requests as the service with this host and these keys, each of
// them once: the first failure is what is reported.
func (c *checker) dispatcher(origin string, keys []string) *upstream.Dispatcher {
	return upstream.New(upstream.Options{
		Origin: origin, Keys: keys, Client: &http.Client{Transport: c.wire},
		Sleep: func(context.Context, time.Duration) error { return errOnce },
	})
}

func (c *checker) deliver(ctx context.Context, d *upstream.Dispatcher, ev upstream.Event) (upstream.Response, error) {
	limited, cancel := c.limit(ctx)
	defer cancel()
	return d.Deliver(limited, []upstream.Handler{c.handler}, ev)
}

func (c *checker) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no response within %v: %w", c.timeout, context.DeadlineExceeded))
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
