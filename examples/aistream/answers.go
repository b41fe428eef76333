package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/service"
)

const (
	maxQuestion = 2_000 // characters
	maxWriting  = 100   // answers at the same time
	maxUsers    = 1_000 // whose last answer is kept
)

// States of an answer.
const (
	writing = "writing"
	done    = "done"
	stopped = "stopped"
	failed  = "failed"
)

// What users get. Changes of an answer are numbered: a client ignores one that it has
// seen, and asks to resume if it has missed one.
type (
	// snapshot is all of an answer.
	snapshot struct {
		Type     string `json:"type"` // answer
		ID       string `json:"id"`   // chosen by the client
		Question string `json:"question"`
		Text     string `json:"text"`
		N        int    `json:"n"` // number of the next change
		State    string `json:"state"`
		Error    string `json:"error,omitempty"`
	}
	// change is a piece of an answer, or its end.
	change struct {
		Type  string `json:"type"` // change
		ID    string `json:"id"`
		N     int    `json:"n"`
		Text  string `json:"text,omitempty"` // to append
		State string `json:"state"`
		Error string `json:"error,omitempty"`
	}
	// nothing is the reply if there is no answer, or none is begun.
	nothing struct {
		Type  string `json:"type"` // none
		Error string `json:"error,omitempty"`
	}
)

// What users send with the event ask.
type question struct {
	ID       string `json:"id"`
	Question string `json:"question"`
}

// answers has the last answer to each user, in the memory of this process.
type answers struct {
	model     Model
	service   *service.Client
	log       *slog.Logger
	inRequest bool // answers are complete before the response to ask

	mu     sync.Mutex // guards byUser and each snapshot
	byUser map[string]*answer
}

type answer struct {
	user  string
	begun time.Time
	stop  context.CancelCauseFunc
	snapshot
}

// ask begins an answer.
func (s *answers) ask(ctx context.Context, e *handler.UserEvent, q question) (*handler.EventResponse, error) {
	if q.ID == "" || len(q.ID) > 64 {
		return nil, handler.Reject(http.StatusBadRequest, "id must have 1 to 64 bytes")
	}
	q.Question = strings.TrimSpace(q.Question)
	if n := utf8.RuneCountInString(q.Question); n == 0 || n > maxQuestion {
		return reply(nothing{"none", fmt.Sprintf("a question has 1 to %d characters, and this one %d", maxQuestion, n)})
	}
	ctx, stop := s.lifetime(ctx)
	a := &answer{
		user: e.UserID, begun: time.Now(), stop: stop,
		snapshot: snapshot{Type: "answer", ID: q.ID, Question: q.Question, State: writing},
	}
	if err := s.begin(a); err != nil {
		stop(err)
		return reply(nothing{"none", err.Error()})
	}
	if s.inRequest {
		s.write(ctx, a)
	} else {
		go s.write(ctx, a)
	}
	return nil, nil
}

// begin makes an answer the last one to its user.
func (s *answers) begin(a *answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.byUser[a.user]; last != nil && last.State == writing {
		return errors.New("your last question is still being answered: stop that first")
	}
	n := 0
	var oldest *answer
	for _, other := range s.byUser {
		switch {
		case other.State == writing:
			n++
		case oldest == nil || other.begun.Before(oldest.begun):
			oldest = other
		}
	}
	if n >= maxWriting {
		return errors.New("too many questions are being answered: try again in a minute")
	}
	if len(s.byUser) >= maxUsers {
		delete(s.byUser, oldest.user)
	}
	s.byUser[a.user] = a
	return nil
}

// stop ends the answer to the user, who then gets its last change.
func (s *answers) stop(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.byUser[e.UserID]; a != nil {
		a.stop(errStopped)
	}
	return nil, nil
}

// resume replies with the last answer to the user, as far as it is.
func (s *answers) resume(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.byUser[e.UserID]; a != nil {
		return reply(a.snapshot)
	}
	return reply(nothing{Type: "none"})
}

func reply(v any) (*handler.EventResponse, error) {
	m, err := webpubsub.JSON(v)
	return &handler.EventResponse{Message: m}, err
}
