package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/backoff"
	"example.com/webpubsub/internal/wire"
)

const (
	websocketNormal   = websocket.CloseNormalClosure
	websocketAbnormal = websocket.CloseAbnormalClosure
	websocketPolicy   = websocket.ClosePolicyViolation
)

const (
	// reopenTimeout is the time limit of an attempt to reconnect, including the
	// credential.
	reopenTimeout = 2 * time.Minute
	// attemptTimeout is the time limit for the handshake of an attempt to recover,
	// and the maximum period without received data after it: a lost packet must not
	// use up the recovery window.
	attemptTimeout = 10 * time.Second
	// firstFrameTimeout is the time limit for the first frame of a recovered
	// connection, which may be a large message over a slow network.
	firstFrameTimeout = 2 * time.Minute

	// provenLink and provenConnection are how long a recovered link and a new
	// connection must last, and make progress, to restore the budgets. Otherwise a
	// service that closes each connection again, or a proxy that fails on one
	// message, would be dialed forever.
	provenLink       = time.Second
	provenConnection = 10 * time.Second
)

func (o *Options) recoveryPolicy() backoff.Policy {
	return backoff.Policy{MaxTime: o.RecoveryWindow, Delay: o.RecoveryInterval, MinLife: provenLink}
}

func (o *Options) reconnectPolicy() backoff.Policy {
	r := o.ReconnectRetry
	return backoff.Policy{MaxTries: r.MaxRetries, FirstDelay: r.RetryDelay, Delay: r.RetryDelay, MaxDelay: r.MaxRetryDelay, MinLife: provenConnection}
}

// reopen makes a new connection after the first. The first attempt is delayed by a
// random time, since a service that restarts disconnects all its clients at the
// same time.
func (r *run) reopen(cause error) (*session, *link, error) {
	err := cause
	for {
		if r.reconnect.Wait(r.ctx) != nil {
			if r.ctx.Err() != nil {
				return nil, nil, r.ctx.Err()
			}
			return nil, nil, fmt.Errorf("client: giving up after %d attempts to reconnect: %w", r.reconnect.Tries(), err)
		}
		var s *session
		var l *link
		ctx, cancel := context.WithTimeout(r.ctx, reopenTimeout)
		s, l, err = r.open(ctx)
		cancel()
		if err == nil {
			return s, l, nil
		}
		r.c.o.Logger.Warn("attempt to reconnect to Web PubSub failed", "attempt", r.reconnect.Tries(), "error", err)
	}
}

// open makes a new connection and reads its connected frame.
func (r *run) open(ctx context.Context) (*session, *link, error) {
	u, err := r.c.credential(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("credential: %w", err)
	}
	l, err := r.c.dial(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	go l.keepAlive(r.ctx, &r.c.o)
	stop := context.AfterFunc(ctx, func() { l.abort(ctx.Err()) })
	_ = l.ws.NetConn().SetReadDeadline(time.Now().Add(handshakeTimeout))
	connected, err := r.readConnected(l)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		l.end()
		return nil, nil, err
	}
	_ = l.ws.NetConn().SetReadDeadline(time.Time{})
	if r.ctx.Err() != nil { // Stop was called just now: its limit must not be lifted
		l.setDeadline(time.Now().Add(closeGrace))
	}
	l.progress = true
	s := &session{id: connected.ConnectionID, token: connected.ReconnectionToken, url: u}
	if connected.UserID != nil {
		s.userID = *connected.UserID
	}
	r.establish(s, l)
	return s, l, nil
}

// readConnected reads the first frame of a new connection.
func (r *run) readConnected(l *link) (wire.Connected, error) {
	r.reason = ""
	for {
		d, _, err := l.next()
		if err != nil {
			if r.reason != "" {
				err = fmt.Errorf("%w (%s)", err, r.reason)
			}
			return wire.Connected{}, err
		}
		switch d := d.(type) {
		case wire.Connected:
			return d, nil
		case wire.Disconnected:
			r.reason = d.Message
		}
	}
}

// recoverable reports whether the service may still have the connection. It does not
// after code 1008, and after the codes that reject a frame: sending that frame
// again would end the next link, too.
func (r *run) recoverable(s *session, err error) bool {
	var closed *CloseError
	if errors.As(err, &closed) && closed.Code == websocketPolicy || rejectsFrame(err) {
		return false
	}
	return r.ctx.Err() == nil && protocols[r.c.o.Protocol].Reliable() && s.token != "" && !errors.Is(err, ErrSlowConsumer)
}

// rejectsFrame reports whether the service closed the connection because of a
// frame that the client had sent.
func rejectsFrame(err error) bool {
	var closed *CloseError
	if !errors.As(err, &closed) {
		return false
	}
	switch closed.Code {
	case websocket.CloseUnsupportedData, websocket.CloseInvalidFramePayloadData, websocket.CloseMessageTooBig:
		return true
	}
	return false
}

// received is a frame, or the reason why it cannot be decoded.
type received struct {
	frame   wire.Downstream
	invalid error
}

// recover opens a new link for the connection, within the recovery window. An attempt
// succeeds when the first frame is received: a service that cannot recover the
// connection closes it after the handshake, with code 1008. Only that is final;
// other errors, such as an HTTP status of a proxy, may be temporary.
func (r *run) recover(s *session, cause error) (*link, received, error) {
	err := cause
	for {
		if r.recovery.Wait(r.ctx) != nil {
			if r.ctx.Err() != nil {
				return nil, received{}, ErrNotRunning
			}
			return nil, received{}, fmt.Errorf("connection not recovered within %v: %w", r.c.o.RecoveryWindow, err)
		}
		var l *link
		var first received
		if l, first, err = r.tryRecovery(s); err == nil {
			return l, first, nil
		}
		switch {
		case r.ctx.Err() != nil:
			return nil, received{}, ErrNotRunning
		case !r.recoverable(s, err):
			return nil, received{}, err
		}
		r.c.o.Logger.Debug("attempt to recover the Web PubSub connection failed", "connection", s.id, "error", err)
	}
}

func (r *run) tryRecovery(s *session) (*link, received, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.recovery.Remaining(attemptTimeout))
	l, err := r.c.dial(ctx, recoveryURL(s))
	cancel()
	if err != nil {
		return nil, received{}, err
	}
	go l.keepAlive(r.ctx, &r.c.o)
	// The service responds to the ping if it has nothing to repeat.
	l.sendPing()
	l.meter.limitSilence(attemptTimeout, firstFrameTimeout)
	frame, invalid, err := l.next()
	l.meter.limitSilence(0, 0)
	if r.ctx.Err() != nil {
		l.setDeadline(time.Now().Add(closeGrace)) // as in open
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		err = errNoFrame
	}
	if err != nil {
		var closed *CloseError
		if errors.As(err, &closed) && closed.Reason == "" {
			closed.Reason = r.reason
		}
		l.end()
		return nil, received{}, err
	}
	return l, received{frame, invalid}, nil
}

var errNoFrame = errors.New("service accepted the connection and sent nothing")
