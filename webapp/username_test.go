package webapp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/webapp"
)

const (
	nameKey      = "a key for names with 32 characters"
	otherNameKey = "another key for names, 32 or more"
)

// signIn returns the query that negotiate gives to a signed-in user.
func signIn(t *testing.T, a *webapp.App, id, name string) url.Values {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/api/negotiate", nil)
	r.Header.Set("X-Ms-Client-Principal-Id", id)
	r.Header.Set("X-Ms-Client-Principal-Name", name)
	w := httptest.NewRecorder()
	a.Negotiate().ServeHTTP(w, r)
	var answer struct{ URL string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	u, err := url.Parse(answer.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Del("access_token") // the service takes it out
	return query
}

func connectWith(a *webapp.App, user string, query url.Values) *handlertest.Response {
	o := by(user)
	o.Query = query
	return handlertest.Do(a.Events, handlertest.Connect("chat", "c1", o))
}

// names returns an application that replies to every event with the name of the
// user.
func names(t *testing.T, edit func(*webapp.Config)) *webapp.App {
	t.Helper()
	a, _ := newApp(t, edit)
	a.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{Groups: []string{"g"}}, nil
	})
	a.Events.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text(webapp.UserName(&e.Event))}, nil
	})
	return a
}

func trusting(c *webapp.Config) { c.TrustPlatformAuth = true }

// The name that the platform gave goes with the client's URL through the service
// to the connect event, and from there with every event of the connection.
func TestNameOfSignedInUser(t *testing.T) {
	a := names(t, trusting)
	res := connectWith(a, "0a1b", signIn(t, a, "0a1b", "Ada Lovelace"))
	if res.Status != http.StatusOK {
		t.Fatalf("connect: status %d: %s", res.Status, res.Body)
	}
	state, _ := res.State()
	if string(state["userName"]) != `"Ada Lovelace"` {
		t.Fatalf("state %s", state)
	}
	o := by("0a1b")
	o.State = map[string]any{"userName": "Ada Lovelace"}
	if res := handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "who", webpubsub.Text(""), o)); string(res.Body) != "Ada Lovelace" {
		t.Errorf("the user is called %s", res.Body)
	}
}

// Without a name in the state a user is called what the ID encodes.
func TestNameOfEncodedUserID(t *testing.T) {
	res := handlertest.Do(names(t, nil).Events, handlertest.UserEvent("chat", "c1", "who", webpubsub.Text(""), by("J%C3%BCrgen")))
	if string(res.Body) != "Jürgen" {
		t.Errorf("the user is called %s", res.Body)
	}
}

// A client writes its URL itself, and may try to be called what it likes.
func TestForgedNames(t *testing.T) {
	a := names(t, trusting)
	good := signIn(t, a, "0a1b", "Ada")
	signature := good.Get("userNameSignature")
	expires, mac, _ := strings.Cut(signature, ".")
	for name, query := range map[string]url.Values{
		"another name":        {"userName": {"Bob"}, "userNameSignature": {signature}},
		"no signature":        {"userName": {"Ada"}},
		"empty signature":     {"userName": {"Ada"}, "userNameSignature": {""}},
		"no name":             {"userNameSignature": {signature}},
		"two names":           {"userName": {"Ada", "Bob"}, "userNameSignature": {signature}},
		"two signatures":      {"userName": {"Ada"}, "userNameSignature": {signature, signature}},
		"another time":        {"userName": {"Ada"}, "userNameSignature": {"9" + expires + "." + mac}},
		"no time":             {"userName": {"Ada"}, "userNameSignature": {"." + mac}},
		"part of a signature": {"userName": {"Ada"}, "userNameSignature": {signature[:len(signature)-2]}},
		"not hexadecimal":     {"userName": {"Ada"}, "userNameSignature": {expires + ".zz"}},
	} {
		t.Run(name, func(t *testing.T) {
			if res := connectWith(a, "0a1b", query); res.Status != http.StatusForbidden || !strings.Contains(string(res.Body), "userNameSignature") {
				t.Errorf("status %d: %s", res.Status, res.Body)
			}
		})
	}
	if res := connectWith(a, "2c3d", good); res.Status != http.StatusForbidden {
		t.Errorf("the name of another user: status %d: %s", res.Status, res.Body)
	}
	other := names(t, func(c *webapp.Config) { c.TrustPlatformAuth, c.Hub = true, "talk" })
	if res := connectWith(a, "0a1b", signIn(t, other, "0a1b", "Ada")); res.Status != http.StatusForbidden {
		t.Errorf("the name of another hub: status %d: %s", res.Status, res.Body)
	}
	if res := connectWith(a, "0a1b", nil); res.Status != http.StatusOK {
		t.Errorf("no name at all: status %d: %s", res.Status, res.Body)
	}
}

// A name is valid for as long as the token in the URL, so that a user cannot keep a
// former name.
func TestNameExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := names(t, trusting)
		query := signIn(t, a, "0a1b", "Ada")
		connect := func(id string) *handlertest.Response {
			o := by("0a1b")
			o.Query = query
			return handlertest.Do(a.Events, handlertest.Connect("chat", id, o))
		}
		time.Sleep(time.Hour)
		if res := connect("c1"); res.Status != http.StatusOK {
			t.Errorf("after an hour: status %d: %s", res.Status, res.Body)
		}
		time.Sleep(time.Second)
		if res := connect("c2"); res.Status != http.StatusForbidden || !strings.Contains(string(res.Body), "negotiate again") {
			t.Errorf("a second later: status %d: %s", res.Status, res.Body)
		}
	})
}

// The name is added to the response of the callback, whatever that contains.
func TestNameAndResponse(t *testing.T) {
	for name, tt := range map[string]struct {
		give *handler.ConnectResponse
		want string
	}{
		"nil":   {nil, `{"userName":"Ada"}`},
		"zero":  {&handler.ConnectResponse{}, `{"userName":"Ada"}`},
		"state": {&handler.ConnectResponse{State: map[string]any{"n": 1}}, `{"n":1,"userName":"Ada"}`},
		// Only negotiate signs names.
		"another name": {&handler.ConnectResponse{State: map[string]any{"userName": "Eve"}}, `{"userName":"Ada"}`},
	} {
		a, _ := newApp(t, trusting)
		a.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return tt.give, nil })
		res := connectWith(a, "0a1b", signIn(t, a, "0a1b", "Ada"))
		state, _ := res.State()
		if got, err := json.Marshal(state); string(got) != tt.want || err != nil {
			t.Errorf("%s: state %s, want %s", name, got, tt.want)
		}
	}
}

// A key can be replaced while names that it has signed are under way.
func TestNameKeyRotation(t *testing.T) {
	with := func(keys ...string) *webapp.App {
		return names(t, func(c *webapp.Config) { c.TrustPlatformAuth, c.UserNameKeys = true, keys })
	}
	query := signIn(t, with(nameKey), "0a1b", "Ada")
	for name, tt := range map[string]struct {
		app    *webapp.App
		status int
	}{
		"same key": {with(nameKey), 200},
		"new key":  {with(otherNameKey, nameKey), 200},
		"old gone": {with(otherNameKey), 403},
		"default":  {with(), 403},
	} {
		if res := connectWith(tt.app, "0a1b", query); res.Status != tt.status {
			t.Errorf("%s: status %d, want %d: %s", name, res.Status, tt.status, res.Body)
		}
	}
}

// With an identity and no key there is nothing to sign with: the name is left
// out, and the log says which setting is missing.
func TestNameWithoutKey(t *testing.T) {
	log := &testlog.Buffer{}
	config := webapp.Config{ServiceURI: "https://contoso.webpubsub.azure.com", Credential: fakeCredential{}, TrustPlatformAuth: true, Logger: log.Logger()}
	config.Entra = &handler.EntraOptions{TenantID: "t", Audiences: []string{"a"}, Principals: []string{"p"}}
	if _, err := webapp.New(config); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "WebPubSubUserNameKeys") {
		t.Errorf("log: %s", log)
	}
	config.UserNameKeys = []string{"short"}
	if _, err := webapp.New(config); err == nil || !strings.Contains(err.Error(), "at least 32") || strings.Contains(err.Error(), "short") {
		t.Errorf("a short key: %v", err)
	}
}
