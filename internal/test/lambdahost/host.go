// Package lambdahost imitates AWS Lambda as a function's program meets it: the
// Runtime API that hands out events, and a buffered Function URL in front.
//
//	host := lambdahost.Start(t, "/tmp/bootstrap", "WebPubSubHub=chat")
//	resp, err := http.Get(host.URL() + "/api/negotiate")
//
// The Runtime API is described in the AWS Lambda developer guide, "Using the
// Lambda runtime API for custom runtimes". One instance of the function runs,
// and answers one event at a time. Deadlines are announced but not enforced.
package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"example.com/webpubsub/internal/test/childprocess"
)

// Host is a running function with its platform.
type Host struct {
	// Process is the function's program.
	*childprocess.Process

	runtime, front *httptest.Server
	events         chan *invocation

	mu      sync.Mutex
	pending map[string]*invocation
}

type invocation struct {
	id      string
	payload []byte
	answer  chan answer
}

type answer struct {
	payload []byte
	err     error
}

// FunctionError is what a function reports in place of an answer.
type FunctionError struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// errEnded is the answer to an event that the program did not live to answer.
var errEnded = errors.New("lambdahost: the function's program has ended")

// Start runs the program with the settings "name=value" as its environment.
// Everything ends with the test.
func Start(tb testing.TB, program string, settings ...string) *Host {
	tb.Helper()
	h := &Host{events: make(chan *invocation), pending: make(map[string]*invocation)}

	const base = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"invocation/next", h.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", h.response)
	mux.HandleFunc("POST "+base+"invocation/{id}/error", h.failure)
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	h.runtime = httptest.NewServer(mux)
	tb.Cleanup(h.runtime.Close)

	// No scheme: the runtime puts it in front.
	h.Process = childprocess.Start(tb, program, filepath.Dir(program), append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(h.runtime.URL, "http://"),
		"AWS_LAMBDA_FUNCTION_NAME=test",
		"AWS_REGION=eu-central-1",
		"LAMBDA_TASK_ROOT=" + filepath.Dir(program),
		"_HANDLER=bootstrap",
	}, settings...)...)

	h.front = httptest.NewServer(http.HandlerFunc(h.functionURL))
	tb.Cleanup(h.front.Close)
	tb.Cleanup(h.Kill) // first, or a hanging function would keep the front open
	return h
}

// URL returns the Function URL, without a slash at its end.
func (h *Host) URL() string { return h.front.URL }

// Invoke hands the event to the function and returns its answer, or the
// [*FunctionError] that it reported.
func (h *Host) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	i := &invocation{id: uuid.NewString(), payload: event, answer: make(chan answer, 1)}
	select {
	case h.events <- i:
	case <-h.Done():
		return nil, errEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-i.answer:
		return a.payload, a.err
	case <-h.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-i.answer: // the program's last deed
		return a.payload, a.err
	default:
		return nil, errEnded
	}
}

// next blocks until there is an event.
func (h *Host) next(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case i := <-h.events:
		h.mu.Lock()
		h.pending[i.id] = i
		h.mu.Unlock()
		deadline := time.Now().Add(10 * time.Second).UnixMilli()
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline, 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:111122223333:function:test")
		_, _ = w.Write(i.payload)
	}
}

// maxPayload is the platform's limit for an answer: 6 MB and a little.
const maxPayload = 6_291_556

func (h *Host) response(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err == nil && len(payload) > maxPayload {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	h.answer(w, r, answer{payload, err})
}

func (h *Host) failure(w http.ResponseWriter, r *http.Request) {
	e := new(FunctionError)
	if err := json.NewDecoder(r.Body).Decode(e); err != nil {
		e.Message = err.Error()
	}
	h.answer(w, r, answer{err: e})
}

func (h *Host) answer(w http.ResponseWriter, r *http.Request, a answer) {
	id := r.PathValue("id")
	h.mu.Lock()
	i := h.pending[id]
	delete(h.pending, id)
	h.mu.Unlock()
	if i == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	i.answer <- a
	w.WriteHeader(http.StatusAccepted)
}
