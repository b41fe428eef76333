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

// runtimeAPI is an imitation of the Runtime API. It hands out as many events at
// the same time as the program requests.
type runtimeAPI struct {
	process *childprocess.Process
	events  chan *invocation

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

// errEnded is the result of an event whose program exited before it responded.
var errEnded = errors.New("lambdahost: the function's program has ended")

// Start runs the program with the settings "name=value" as its environment.
// Everything ends with the test.
func Start(tb testing.TB, program string, settings ...string) *Host {
	tb.Helper()
	a := &runtimeAPI{events: make(chan *invocation), pending: make(map[string]*invocation)}

	const base = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"invocation/next", a.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", a.response)
	mux.HandleFunc("POST "+base+"invocation/{id}/error", a.failure)
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)

	// No scheme: the runtime puts it in front.
	a.process = childprocess.Start(tb, program, filepath.Dir(program), append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(server.URL, "http://"),
		"AWS_LAMBDA_FUNCTION_NAME=test",
		"AWS_REGION=eu-central-1",
		"LAMBDA_TASK_ROOT=" + filepath.Dir(program),
		"_HANDLER=bootstrap",
	}, settings...)...)
	h := &Host{Process: a.process, platform: a}
	return h.serveURL(tb, a.process.Kill)
}

func (a *runtimeAPI) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	i := &invocation{id: uuid.NewString(), payload: event, answer: make(chan answer, 1)}
	select {
	case a.events <- i:
	case <-a.process.Done():
		return nil, errEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case got := <-i.answer:
		return got.payload, got.err
	case <-a.process.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case got := <-i.answer: // sent just before the program ended
		return got.payload, got.err
	default:
		return nil, errEnded
	}
}

// next blocks until there is an event.
func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case i := <-a.events:
		a.mu.Lock()
		a.pending[i.id] = i
		a.mu.Unlock()
		deadline := time.Now().Add(10 * time.Second).UnixMilli()
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline, 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:111122223333:function:test")
		_, _ = w.Write(i.payload)
	}
}

// maxPayload is the platform's limit for a response: 6 MB and a little.
const maxPayload = 6_291_556

func (a *runtimeAPI) response(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err == nil && len(payload) > maxPayload {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	a.answer(w, r, answer{payload, err})
}

func (a *runtimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	e := new(FunctionError)
	if err := json.NewDecoder(r.Body).Decode(e); err != nil {
		e.Message = err.Error()
	}
	a.answer(w, r, answer{err: e})
}

func (a *runtimeAPI) answer(w http.ResponseWriter, r *http.Request, got answer) {
	id := r.PathValue("id")
	a.mu.Lock()
	i := a.pending[id]
	delete(a.pending, id)
	a.mu.Unlock()
	if i == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	i.answer <- got
	w.WriteHeader(http.StatusAccepted)
}
