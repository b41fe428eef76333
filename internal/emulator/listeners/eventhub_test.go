package listeners_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/listeners"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/test/eventhub"
	"example.com/webpubsub/internal/upstream"
)

// rig is a set with its journal.
type rig struct {
	*listeners.Set
	journal *journal.Journal
	tasks   *task.Group
	shut    func() // as Close of an emulator
}

func newRig(t *testing.T, change func(*listeners.Set)) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{journal: journal.New(slog.New(slog.DiscardHandler), nil), tasks: &task.Group{}}
	r.Set = &listeners.Set{Context: ctx, Journal: r.journal, Tasks: r.tasks}
	if change != nil {
		change(r.Set)
	}
	r.shut = func() {
		cancel()
		r.tasks.Close()
		r.tasks.Wait()
		r.Close()
	}
	t.Cleanup(r.shut)
	return r
}

// idle returns when everything was sent or dropped.
func (r *rig) idle(t *testing.T) {
	t.Helper()
	if err := r.tasks.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) entries() (out []string) {
	all, _ := r.journal.Since(0)
	for _, e := range all {
		out = append(out, e.String())
	}
	return out
}

func user(connection string, id uint64, body string) upstream.Event {
	return upstream.Event{
		Kind: upstream.User, Name: "say", ID: id, Hub: "chat", ConnectionID: connection, UserID: "alice",
		ContentType: "text/plain; charset=utf-8", Body: []byte(body), Metadata: map[string]string{"Trace": "1"},
	}
}

func hubListener(connectionString string) []listeners.Listener {
	return []listeners.Listener{{UserEvents: "*", Endpoint: listeners.Endpoint{EventHub: "events", ConnectionString: connectionString}}}
}

// A reader of the event hub gets what the service sends: properties, partition key,
// payload.
func TestEventHub(t *testing.T) {
	peer := eventhub.Start(t, nil)
	r := newRig(t, nil)
	all := hubListener(peer.ConnectionString())
	if !r.Send(all, user("c1", 1, "hello")) || r.Send(all, upstream.Event{Kind: upstream.Connected, Hub: "chat", ConnectionID: "c1"}) {
		t.Error("the filter is not that of the listener")
	}
	e := <-peer.Events()
	if e.EventHub != "events" || e.MessageID != "c1/1" || e.ContentType != "text/plain" || e.PartitionKey != "c1" || string(e.Body) != "hello" {
		t.Errorf("got %+v", e)
	}
	for name, want := range map[string]any{
		"cloudEvents:type": "azure.webpubsub.user.say", "cloudEvents:userid": "alice", "cloudEvents:id": "1",
		"cloudEvents:source": "/hubs/chat/client/c1", "x-webpubsub-metadata-trace": "1",
	} {
		if e.Properties[name] != want {
			t.Errorf("%s is %v, want %v", name, e.Properties[name], want)
		}
	}
	r.idle(t)
	if s := r.State(all[0].Endpoint); s != (listeners.State{Sent: 1}) {
		t.Errorf("state %+v", s)
	}
}

// The events of each connection arrive in their order, also over a batch that is
// rejected and a connection that is lost.
func TestEventHubKeepsTheOrder(t *testing.T) {
	peer := eventhub.Start(t, nil)
	peer.Refuse("com.microsoft:server-busy", "amqp:internal-error")
	r := newRig(t, nil)
	all := hubListener(peer.ConnectionString())
	const connections, events = 5, 200
	for id := range events {
		for c := range connections {
			r.Send(all, user(fmt.Sprint("c", c), uint64(id), "x"))
		}
		if id == events/2 {
			peer.Disconnect()
		}
	}
	r.idle(t)
	next := make(map[string]int)
	for range connections * events {
		e := <-peer.Events()
		want := fmt.Sprintf("%s/%d", e.PartitionKey, next[e.PartitionKey])
		if e.MessageID != want {
			// A batch whose settlement was lost is sent again, from its beginning.
			var id int
			if _, err := fmt.Sscanf(e.MessageID, e.PartitionKey+"/%d", &id); err != nil || id > next[e.PartitionKey] {
				t.Fatalf("%s arrived, want %s", e.MessageID, want)
			}
			next[e.PartitionKey] = id
		}
		next[e.PartitionKey]++
	}
	if s := r.State(all[0].Endpoint); s.Sent != connections*events || s.Dropped != 0 {
		t.Errorf("state %+v, %q", s, r.entries())
	}
}

// An event that the event hub cannot take is dropped alone, and recorded.
func TestEventHubDropsWhatIsTooLarge(t *testing.T) {
	peer := eventhub.Start(t, nil)
	r := newRig(t, nil)
	all := hubListener(peer.ConnectionString())
	for id, size := range []int{1, 1 << 20, 600_000, 600_000, 1} {
		r.Send(all, user("c1", uint64(id), strings.Repeat("x", size)))
	}
	r.idle(t)
	for _, want := range []string{"c1/0", "c1/2", "c1/3", "c1/4"} {
		if e := <-peer.Events(); e.MessageID != want {
			t.Errorf("%s arrived, want %s", e.MessageID, want)
		}
	}
	s := r.State(all[0].Endpoint)
	entries := r.entries()
	if s.Sent != 4 || s.Dropped != 1 || len(entries) != 1 || !strings.Contains(entries[0], "the first is c1/1: the event is larger") {
		t.Errorf("state %+v, entries %q", s, entries)
	}
}

// A key that is not that of the event hub is an error that says what is missing.
func TestEventHubUnauthorized(t *testing.T) {
	peer := eventhub.Start(t, nil)
	r := newRig(t, nil)
	all := hubListener(peer.WrongConnectionString())
	r.Send(all, user("c1", 1, "x"))
	waitFor(t, func() bool {
		return strings.Contains(r.State(all[0].Endpoint).LastError, "Azure Event Hubs Data Sender")
	})
	r.shut()
	if e := r.entries(); len(e) != 1 || strings.Contains(e[0], "wrong") {
		t.Errorf("entries %q", e)
	}
}

// Without a connection string the emulator signs in, over TLS.
func TestEventHubWithCredential(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	defer web.Close()
	peer := eventhub.Start(t, &tls.Config{Certificates: web.TLS.Certificates})
	trust := web.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	for name, tt := range map[string]struct {
		credential azcore.TokenCredential
		want       string
	}{
		"token": {fakeCredential("token"), ""},
		"none":  {nil, "no credential"},
	} {
		n, err := listeners.SendToEventHub(t.Context(), peer.Addr(), tt.credential, trust, user("c1", 1, "x").Message(time.Now()))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || n == 1 != (tt.want == "") {
			t.Fatalf("%s: %d sent, %v", name, n, err)
		}
	}
	if e := <-peer.Events(); e.MessageID != "c1/1" {
		t.Errorf("%s arrived", e.MessageID)
	}
	if got := peer.Tokens(); len(got) != 1 || got[0] != "token" {
		t.Errorf("tokens %q", got)
	}
}

type fakeCredential string

func (c fakeCredential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(o.Scopes) != 1 || o.Scopes[0] != "https://eventhubs.azure.net//.default" {
		return azcore.AccessToken{}, fmt.Errorf("scopes %q", o.Scopes)
	}
	return azcore.AccessToken{Token: string(c), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it did not happen")
		}
	}
}
