package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/testlog"
)

// The ready file appears when everything listens, for its owner only, says how the
// emulator is reached, and goes with it. That of an earlier run is not mistaken for it.
func TestReadyFileAndHealth(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ready.json")
	if err := os.WriteFile(file, []byte("of an earlier run"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	log := &testlog.Buffer{}
	go func() {
		ended <- dispatch(ctx, testEnv(log, log, []string{"WEBPUBSUB_CONTROL_TOKEN=mine"}),
			[]string{"emulator", "-addr", "localhost:0", "-ready-file", file, "-control-read-token", "reading", "-public-url", "https://public.example"})
	}()
	var r readiness
	waitFor(t, func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &r) == nil
	}, "the ready file")
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if r.ControlToken != "mine" || r.PID != os.Getpid() || r.Version == "" || r.PublicURL != "https://public.example" ||
		!strings.HasPrefix(r.ControlURL, r.URL+"/") || !strings.Contains(r.ConnectionString, "Endpoint="+r.URL+";") {
		t.Errorf("got %+v", r)
	}
	for token, want := range map[string]int{"mine": 200, "reading": 200, "other": 401} {
		q, _ := http.NewRequest("GET", r.ControlURL+"/info", nil)
		q.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s", token, res.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	health := func(args ...string) (string, error) {
		out := &testlog.Buffer{}
		err := dispatch(t.Context(), testEnv(out, out, nil), append([]string{"health"}, args...))
		return out.String(), err
	}
	for _, args := range [][]string{{"-ready-file", file}, {"-url", r.URL + "/"}} {
		if out, err := health(args...); err != nil || out != r.URL+" responds\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the ready file is still there: %v", err)
	}
	for want, args := range map[string][]string{
		"not ready":                      {"-ready-file", file},
		"no response":                    {"-url", r.URL, "-wait", "1ms"},
		"must begin with":                {"-url", "localhost"},
		"mutually exclusive":             {"-url", r.URL, "-ready-file", file},
		"was not written by -ready-file": {"-ready-file", "control_test.go"},
		"unexpected argume":              {"x"},
	} {
		if _, err := health(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}
