package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"example.com/webpubsub/app"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = handlertest.AccessKey

// fakeService is the REST API as far as the chat uses it.
type fakeService struct {
	*httptest.Server
	mu      sync.Mutex
	members map[string][]service.ConnectionInfo // by group
	sends   []send
	changes []string                  // other calls that change something
	fail    func(r *http.Request) int // a status above zero refuses the request
}

// send is one message that went out.
type send struct {
	path, excluded string
	body           map[string]any
}

func newFakeService(t *testing.T) *fakeService {
	t.Helper()
	f := &fakeService{members: make(map[string][]service.ConnectionInfo)}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		if status := f.fail(r); status > 0 {
			w.WriteHeader(status)
			return
		}
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/hubs/chat/")
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(path, "/connections"):
		group := strings.TrimSuffix(strings.TrimPrefix(path, "groups/"), "/connections")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"value": append([]service.ConnectionInfo{}, f.members[group]...)})
	case r.Method == http.MethodPost && strings.HasSuffix(path, "/:send"):
		var body map[string]any
		data, _ := io.ReadAll(r.Body)
		if json.Unmarshal(data, &body) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.sends = append(f.sends, send{path, strings.Join(r.URL.Query()["excluded"], ","), body})
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut || r.Method == http.MethodDelete:
		call := r.Method + " " + path
		if target := r.URL.Query().Get("targetName"); target != "" {
			call += " " + target
		}
		f.changes = append(f.changes, call)
		w.WriteHeader(map[string]int{http.MethodPut: http.StatusOK, http.MethodDelete: http.StatusNoContent}[r.Method])
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// taken returns what was sent since the last call.
func (f *fakeService) taken() []send {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.sends
	f.sends = nil
	return out
}

// changed returns what else was changed since the last call.
func (f *fakeService) changed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.changes
	f.changes = nil
	return out
}

func (f *fakeService) connectionString() string {
	return "Endpoint=" + f.URL + ";AccessKey=" + key + ";Version=1.0;"
}

// newApp returns the app over the fake service; edit may change its
// configuration. What it logs is in the second result.
func (f *fakeService) newApp(t *testing.T, edit func(*webapp.Config)) (*webapp.App, *testlog.Buffer) {
	t.Helper()
	l := &testlog.Buffer{}
	c := webapp.Config{
		ConnectionString: f.connectionString(),
		Logger:           l.Logger(),
		ClientOptions: &service.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: f.Client(),
			Retry:     policy.RetryOptions{MaxRetries: -1},
		}},
	}
	if edit != nil {
		edit(&c)
	}
	a, err := app.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a, l
}
