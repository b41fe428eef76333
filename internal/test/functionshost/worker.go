package functionshost

import (
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"example.com/webpubsub/internal/test/childprocess"
)

const (
	// maxExits is the number of exits with an error after which the host shuts
	// down; it forgets one after 30 minutes.
	maxExits = 3
	// exitRestart makes the host start a new process and is not counted as an error.
	exitRestart = 200
)

// worker is one process of the custom handler.
type worker struct {
	*childprocess.Process
	// ready is closed with the first response, or with the end; handled when the
	// host has dealt with the end.
	ready, handled chan struct{}
}

// startWorker starts a process, on the same port each time. h.mu is held.
func (h *Host) startWorker() error {
	settings := append(slices.Clone(h.options.Settings),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+h.port,
		"FUNCTIONS_HTTPWORKER_PORT="+h.port,
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+uuid.NewString(),
		"FUNCTIONS_APP_ROOT_PATH="+h.options.Root,
		"FUNCTIONS_WORKER_RUNTIME=custom",
	)
	process, err := childprocess.Run(h.executable(), h.options.Root, settings...)
	if err != nil {
		return err
	}
	p := &worker{Process: process, ready: make(chan struct{}), handled: make(chan struct{})}
	h.workers = append(h.workers, p)
	h.watching.Go(func() {
		h.waitUntilReady(p)
		<-p.Done()
		defer close(p.handled)
		if err := h.ended(p); err != nil {
			h.tb.Errorf("functionshost: restart: %v", err)
		}
	})
	return nil
}

// waitUntilReady sends GET / every 25 ms until there is any response.
func (h *Host) waitUntilReady(p *worker) {
	defer close(p.ready)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	every := time.NewTicker(25 * time.Millisecond)
	defer every.Stop()
	for {
		resp, err := client.Get("http://" + net.JoinHostPort("127.0.0.1", h.port) + "/")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-every.C:
		case <-p.Done():
			return
		}
	}
}

// ended restarts the handler, unless its exit code prevents it.
func (h *Host) ended(p *worker) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch code := p.ExitCode(); {
	case h.stopping:
	case code == 0:
		// The host takes this for an orderly end that it asked for: nothing is
		// restarted, and requests fail from now on.
	case code == exitRestart:
		return h.startWorker()
	default:
		if h.exits++; h.exits < maxExits {
			return h.startWorker()
		}
		h.down = true
		h.log = append(h.log, "Exceeded http worker restart retry count. Shutting down Functions Host")
	}
	return nil
}

// Restarted waits until a process of the handler has ended and the host has
// dealt with that, and reports whether there is a new one. The new one is
// ready then.
func (h *Host) Restarted(process *childprocess.Process) bool {
	h.mu.Lock()
	i := slices.IndexFunc(h.workers, func(p *worker) bool { return p.Process == process })
	p := h.workers[i]
	h.mu.Unlock()
	<-p.handled
	now := h.current()
	<-now.ready
	return now != p
}

// Down reports whether the host has shut down.
func (h *Host) Down() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

func (p *worker) ended() bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// Stdout returns what all processes of the handler wrote to standard output.
func (h *Host) Stdout() string {
	return h.output((*childprocess.Process).Stdout)
}

// Stderr returns what all processes of the handler wrote to standard error.
func (h *Host) Stderr() string {
	return h.output((*childprocess.Process).Stderr)
}

func (h *Host) output(of func(*childprocess.Process) string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, p := range h.workers {
		b.WriteString(of(p.Process))
	}
	return b.String()
}

// Log is what the log of the app shows, line by line, under the level that the
// host gives to each line.
type Log struct {
	Information, Warning, Error []string
}

// Log returns the lines that the handler has written and that the host itself
// has logged. Standard output is Information, regardless of the content of a line. On
// standard error a line that contains "warn" is a Warning, any other an Error.
func (h *Host) Log() Log {
	var out Log
	for line := range strings.Lines(h.Stdout()) {
		out.Information = append(out.Information, strings.TrimSpace(line))
	}
	for line := range strings.Lines(h.Stderr()) {
		if strings.Contains(strings.ToLower(line), "warn") {
			out.Warning = append(out.Warning, strings.TrimSpace(line))
		} else {
			out.Error = append(out.Error, strings.TrimSpace(line))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out.Error = append(out.Error, h.log...)
	return out
}

// FreePort returns a port on which nothing listens.
func FreePort(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// freePort keeps below the range from which systems take the ports of outgoing
// connections and of listeners on port 0, so that nothing else takes the port
// before the program does.
func freePort() (string, error) {
	const first, last, tries = 20_000, 32_000, 100
	for range tries {
		port := strconv.Itoa(first + mathrand.IntN(last-first))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("functionshost: no free port in %d tries", tries)
}
