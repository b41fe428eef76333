package fault_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/emulator/fault"
)

var alice = fault.Target{Hub: "chat", UserID: "alice", ConnectionID: "c1"}

func newSet(t *testing.T) (*fault.Set, *[]string) {
	var applied []string
	return fault.NewSet(t.Context(), func(f fault.Fault, _ fault.Target) { applied = append(applied, f.String()) }), &applied
}

func mustInject(t *testing.T, s *fault.Set, f fault.Fault) *fault.Injected {
	t.Helper()
	in, err := s.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestFaultsAreAppliedInOrderUpToOneThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, applied := newSet(t)
		mustInject(t, s, fault.Fault{At: fault.AtSend, Do: fault.Action{Kind: fault.Delay, Delay: time.Second}, UserID: "alice"})
		mustInject(t, s, fault.Fault{At: fault.AtSend, Do: fault.Action{Kind: fault.Reset}, Hub: "CHAT", Skip: 1, Times: 1})
		mustInject(t, s, fault.Fault{At: fault.AtReceive, Do: fault.Action{Kind: fault.Reset}})
		start := time.Now()
		for call, want := range []bool{false, true, false} {
			if _, ends := s.Apply(fault.AtSend, "ack", alice, nil); ends != want {
				t.Errorf("call %d ends: %v", call, ends)
			}
		}
		if took := time.Since(start); took != 3*time.Second || len(*applied) != 4 {
			t.Errorf("after %v were applied: %q", took, *applied)
		}
	})
}

func TestRemoveEndsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSet(t)
		in := mustInject(t, s, fault.Fault{At: fault.AtSend, Do: fault.Action{Kind: fault.Stall}})
		done := make(chan bool)
		go func() { _, ends := s.Apply(fault.AtSend, "", alice, nil); done <- ends }()
		synctest.Wait()
		in.Remove()
		in.Remove() // harmless
		if <-done || s.Active() || in.Hits() != 1 {
			t.Errorf("active %v, %d hits", s.Active(), in.Hits())
		}
	})
}

func TestInvalidFaults(t *testing.T) {
	s, _ := newSet(t)
	for _, f := range []fault.Fault{
		{},
		{At: 9, Do: fault.Action{Kind: fault.Reset}},
		{At: fault.AtSend},
		{At: fault.AtSend, Do: fault.Action{Kind: fault.Reject, Code: 503}},
		{At: fault.AtHandshake, Do: fault.Action{Kind: fault.Reject, Code: 200}},
		{At: fault.AtHandshake, Do: fault.Action{Kind: fault.Reset}, Frame: "ack"},
		{At: fault.AtHandshake, Do: fault.Action{Kind: fault.Reset}, ConnectionID: "x"},
		{At: fault.AtSend, Do: fault.Action{Kind: fault.Delay, Delay: -1}},
		{At: fault.AtSend, Do: fault.Action{Kind: fault.Reset}, Skip: -1},
	} {
		if _, err := s.Inject(f); err == nil {
			t.Errorf("accepted %v", f)
		}
	}
	if got := fault.Point(9).String(); got != "Point(9)" {
		t.Errorf("an unknown point is %q", got)
	}
}
