package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Model answers questions. Replace the fake by a client of the model of your choice.
type Model interface {
	// Answer yields the answer in parts of any size, as the model writes them, until
	// it is complete, the context ends, or it fails with an error.
	Answer(ctx context.Context, question string) iter.Seq2[string, error]
}

// fakeModel gives the same answer to the same question, a word at a time.
type fakeModel struct{ perWord time.Duration }

func (m fakeModel) Answer(ctx context.Context, question string) iter.Seq2[string, error] {
	text := fmt.Sprintf(fakeAnswer, strings.TrimSpace(question), len(strings.Fields(question)))
	return func(yield func(string, error) bool) {
		for _, word := range strings.SplitAfter(text, " ") {
			select {
			case <-ctx.Done():
				yield("", ctx.Err())
				return
			case <-time.After(m.perWord):
			}
			if !yield(word, nil) {
				return
			}
		}
	}
}

const fakeAnswer = `You asked: “%s” The number of its words is %d, and that is all that a fake model can say about it with certainty.

What follows is the same every time, so that you can look at how it arrives. The server reads the answer from the model while it is being written, and sends what has come since the last piece to you, and to nobody else. Open this page in a second window: both show the same answer, because both are yours.

Try three things. Stop the answer: the server ends the request to the model, so that nobody pays for words that nobody reads. Reload the page: it shows the answer so far, and goes on from there. Disconnect the network for a few seconds: the connection is recovered, and every piece that was sent meanwhile arrives, once and in order.

A real model takes the place of this one behind an interface with a single method. It may be slower or faster, and it may fail in the middle of a sentence. The page shows that too, and keeps what had been written by then.`
