package main

import (
	"context"
	"errors"
	"time"

	"example.com/webpubsub"
)

const (
	maxAnswer  = 64 << 10        // bytes
	maxTime    = 3 * time.Minute // for an answer
	pieceEvery = 80 * time.Millisecond
	sendWithin = 10 * time.Second
	// margin is left of the time of a request, to send the end of the answer.
	margin = 2 * time.Second
)

// Why an answer ends before the model has finished it. Users see these.
var (
	errStopped = errors.New("stopped")
	errTooLong = errors.New("the answer is too long")
	errTooSlow = errors.New("the answer took too long")
)

// lifetime returns the context in which an answer is written. It outlives the event,
// whose response is not to wait, except in inRequest.
func (s *answers) lifetime(event context.Context) (context.Context, context.CancelCauseFunc) {
	until := time.Now().Add(maxTime)
	if !s.inRequest {
		event = context.WithoutCancel(event)
	} else if end, ok := event.Deadline(); ok && end.Add(-margin).Before(until) {
		until = end.Add(-margin)
	}
	ctx, cancel := context.WithDeadlineCause(event, until, errTooSlow)
	ctx, stop := context.WithCancelCause(ctx)
	return ctx, func(cause error) {
		stop(cause)
		cancel()
	}
}

// write reads the answer from the model and sends it to the user while it comes.
func (s *answers) write(ctx context.Context, a *answer) {
	s.send(a, a.snapshot) // the user's other devices have not seen the question
	parts := make(chan string, 1000)
	var failure error // valid when parts is closed
	go func() {
		defer close(parts)
		for part, err := range s.model.Answer(ctx, a.Question) {
			if err != nil {
				failure = err
				return
			}
			select {
			case parts <- part:
			case <-ctx.Done():
				return
			}
		}
	}()
	for text := range parts {
		if ctx.Err() != nil {
			continue
		}
		s.send(a, s.change(a, text+waiting(parts), writing, ""))
		if len(a.Text) > maxAnswer {
			a.stop(errTooLong)
		}
		// A message for each word would cost more, and look no better.
		select {
		case <-time.After(pieceEvery):
		case <-ctx.Done():
		}
	}
	state, reason := done, ""
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errStopped):
		state = stopped
	case cause != nil:
		state, reason = failed, cause.Error()
	case failure != nil:
		s.log.Error("the model failed", "user", a.user, "error", failure)
		state, reason = failed, "the model failed"
	}
	s.send(a, s.change(a, "", state, reason))
	a.stop(nil) // frees what the context holds
}

// waiting returns what has come since the last piece was sent.
func waiting(parts <-chan string) (text string) {
	for {
		select {
		case part, ok := <-parts:
			if !ok {
				return text
			}
			text += part
		default:
			return text
		}
	}
}

// change applies the next change to an answer, and returns it.
func (s *answers) change(a *answer, text, state, reason string) change {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := change{"change", a.ID, a.N, text, state, reason}
	a.Text += text
	a.N++
	a.State, a.Error = state, reason
	return c
}

// send sends to every connection of the user. What cannot be sent is not lost: the
// client finds a gap in the numbers, and resumes.
func (s *answers) send(a *answer, v any) {
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
	defer cancel()
	if err := s.service.SendToUser(ctx, a.user, webpubsub.MustJSON(v), nil); err != nil {
		s.log.Warn("a piece of an answer was not sent", "user", a.user, "error", err)
	}
}
