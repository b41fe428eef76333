package task_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/emulator/task"
)

func TestIdleWaitsForWorkAndWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g task.Group
		steps := make(chan struct{})
		g.Go(func() {
			<-steps
			g.Go(func() { <-steps })
		})
		idle := make(chan error, 1)
		go func() { idle <- g.Idle(t.Context()) }()
		for range 2 {
			synctest.Wait()
			select {
			case err := <-idle:
				t.Fatalf("idle (%v) with work in progress", err)
			default:
			}
			steps <- struct{}{}
		}
		if err := <-idle; err != nil {
			t.Error(err)
		}
		g.Wait()
	})
}

func TestIdleEndsWithItsContext(t *testing.T) {
	var g task.Group
	g.Begin()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := g.Idle(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 operations") {
		t.Errorf("Idle: %v", err)
	}
}

func TestBackgroundIsWaitedForButNotBusy(t *testing.T) {
	var g task.Group
	stop := make(chan struct{})
	g.Background(func() { <-stop })
	if err := g.Idle(t.Context()); err != nil {
		t.Error(err)
	}
	close(stop)
	g.Wait()
}

func TestNothingEntersAClosedGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g task.Group
		called := false
		g.AfterFunc(time.Second, func() { called = true })
		if !g.Close() || g.Close() {
			t.Error("Close reports the first call only")
		}
		if g.Enter() {
			t.Error("entered a closed group")
		}
		time.Sleep(2 * time.Second)
		if called {
			t.Error("a timer ran in a closed group")
		}
	})
}
