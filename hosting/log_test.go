package hosting_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"

	"example.com/webpubsub/hosting"
)

func ExampleNewLogger() {
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := hosting.NewLogger(&slog.HandlerOptions{ReplaceAttr: noTime})

	// In a handler this is r.Context().
	ctx := hosting.WithInvocationID(context.Background(), "5f1b7c1e")
	log.InfoContext(ctx, "joined", "user", "alice")
	// Output: {"level":"INFO","msg":"joined","invocationId":"5f1b7c1e","user":"alice"}
}

func TestInvocationIDIsTopLevel(t *testing.T) {
	ctx := hosting.WithInvocationID(context.Background(), "id-1")
	for name, derive := range map[string]func(*slog.Logger) *slog.Logger{
		"plain":      func(l *slog.Logger) *slog.Logger { return l },
		"attributes": func(l *slog.Logger) *slog.Logger { return l.With("hub", "chat") },
		"group":      func(l *slog.Logger) *slog.Logger { return l.With("hub", "chat").WithGroup("event") },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			derive(slog.New(hosting.NewLogHandler(&b, &b, nil))).InfoContext(ctx, "hello", "n", 1)
			var line map[string]any
			if err := json.Unmarshal(b.Bytes(), &line); err != nil {
				t.Fatalf("not a JSON line: %v in %q", err, b.String())
			}
			if line["invocationId"] != "id-1" || line["msg"] != "hello" {
				t.Errorf("got %s, want the invocation id at the top level", b.String())
			}
		})
	}
}

func TestNoInvocationID(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(hosting.NewLogHandler(&b, &b, nil))
	log.Info("hello")
	log.Debug("not shown")
	if got := b.String(); bytes.Contains(b.Bytes(), []byte("invocationId")) || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
		t.Errorf("got %q, want one line without an invocation id", got)
	}
}

// Two loggers that are derived from one shared the tail of one slice, so that
// the second one's attributes showed up in the first one's lines.
func TestDerivedLoggersDoNotShareAttributes(t *testing.T) {
	var b bytes.Buffer
	parent := slog.New(hosting.NewLogHandler(&b, &b, nil)).With("a", 1).With("b", 2).With("c", 3)
	first := parent.With("child", "first")
	_ = parent.With("child", "second")
	first.Info("hello")
	if !bytes.Contains(b.Bytes(), []byte(`"child":"first"`)) {
		t.Errorf("got %s, want the attributes of the first logger", b.String())
	}
}

// The Functions host takes the level of a line from the stream that it came on:
// records of level Warn and above arrived as Information.
func TestLevelsAreSeparated(t *testing.T) {
	var out, errs bytes.Buffer
	log := slog.New(hosting.NewLogHandler(&out, &errs, &slog.HandlerOptions{Level: slog.LevelDebug})).With("hub", "chat")
	log.Debug("debug")
	log.Info("info")
	log.Warn("warn")
	log.Error("error")
	for name, tt := range map[string]struct {
		b    *bytes.Buffer
		want []string
	}{"out": {&out, []string{"debug", "info"}}, "errs": {&errs, []string{"warn", "error"}}} {
		var got []string
		for line := range bytes.Lines(tt.b.Bytes()) {
			var record struct{ Msg, Hub string }
			if err := json.Unmarshal(line, &record); err != nil || record.Hub != "chat" {
				t.Errorf("%s has %s: %v", name, line, err)
			}
			got = append(got, record.Msg)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s has %q, want %q", name, got, tt.want)
		}
	}
}
