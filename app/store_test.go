package app

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

// testStore holds for every store.
func testStore(t *testing.T, s Store) {
	ctx := t.Context()
	recent := func(room string, n int) []string {
		t.Helper()
		messages, err := s.Recent(ctx, room, n)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, m := range messages {
			texts = append(texts, m.Text)
		}
		return texts
	}
	if got := recent("empty", 10); got != nil {
		t.Errorf("an empty room has %q", got)
	}
	if names, err := s.Names(ctx, "empty"); err != nil || len(names) > 0 {
		t.Errorf("an empty room has the names %v, %v", names, err)
	}

	at := time.Date(2026, 5, 6, 7, 8, 9, 123e6, time.UTC)
	message := func(i int) Message {
		return Message{ID: strconv.Itoa(i), User: "B%C3%B3b", Name: "Bób", Text: fmt.Sprintf("'%d' <b>\n\u2028", i), Time: at.Add(time.Duration(i) * time.Millisecond)}
	}
	var want []string
	for i := range 25 {
		m := message(i)
		want = append(want, m.Text)
		for range 2 { // a delivery that is repeated
			if err := s.Append(ctx, "grüße-1", "key"+m.ID, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := recent("grüße-1", 25); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := recent("grüße-1", 10); !slices.Equal(got, want[15:]) {
		t.Errorf("the last ten are %q", got)
	}
	if got := recent("grüße", 10); got != nil {
		t.Errorf("a room with a similar name has %q", got)
	}
	messages, err := s.Recent(ctx, "grüße-1", 1)
	if err != nil || len(messages) != 1 || messages[0] != message(24) {
		t.Errorf("got %+v, %v, want %+v", messages, err, message(24))
	}

	for _, name := range []string{"Ada", "Ada L."} {
		if err := s.SetName(ctx, "general", "github:42/x#y?", name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetName(ctx, "help", "other", "Other"); err != nil {
		t.Fatal(err)
	}
	names, err := s.Names(ctx, "general")
	if err != nil || len(names) != 1 || names["github:42/x#y?"] != "Ada L." {
		t.Errorf("names %v, %v", names, err)
	}
}

func TestMemoryStore(t *testing.T) { testStore(t, newMemoryStore()) }

// However much is said in however many rooms, the memory is bounded.
func TestMemoryStoreIsBounded(t *testing.T) {
	s := newMemoryStore()
	for i := range 2 * memoryMessages {
		if err := s.Append(t.Context(), "general", strconv.Itoa(i), Message{Text: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := s.Recent(t.Context(), "general", 10_000)
	if err != nil || len(messages) != memoryMessages || messages[0].Text != strconv.Itoa(memoryMessages) {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	for i := range 2 * memoryNames {
		if err := s.SetName(t.Context(), "general", strconv.Itoa(i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := s.Names(t.Context(), "general"); len(names) != memoryNames {
		t.Errorf("%d names", len(names))
	}
	for i := range 2 * memoryRooms {
		if err := s.Append(t.Context(), strconv.Itoa(i), "key", Message{Text: "hi"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.rooms) != memoryRooms {
		t.Errorf("%d rooms", len(s.rooms))
	}
	if messages, _ := s.Recent(t.Context(), strconv.Itoa(2*memoryRooms-1), 1); len(messages) != 1 {
		t.Error("the room of the last message is forgotten")
	}
}
