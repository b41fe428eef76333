package control_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
)

// ask calls the API as a peer with an address, a name and a header of its choice.
func ask(srv *emulator.Server, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://localhost:8080"+path, nil)
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("Authorization", "Bearer "+srv.ControlToken())
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	return w
}

func TestAuthorization(t *testing.T) {
	plain := emulator.StartT(t, emulator.Options{Control: true, AllowHosts: []string{"emulator.example"}})
	explicit := emulator.StartT(t, emulator.Options{
		Control: true, ControlToken: "a-long-token-to-use", ControlReadToken: "another-one-to-read",
		AllowHosts: []string{"emulator.example"}, PublicURL: "https://public.example",
	})
	public := emulator.StartT(t, emulator.Options{Control: true, PublicURL: "https://public.example:444/"})
	const info, page = "/_emulator/v1/info", "/dashboard/"
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	for name, c := range map[string]struct {
		srv    *emulator.Server
		path   string
		change func(*http.Request)
		status int
	}{
		"with the token":            {plain, info, nil, 200},
		"the page":                  {plain, page, nil, 200},
		"the page without a token":  {plain, page, header("Authorization", ""), 200},
		"its script":                {plain, page + "main.js", nil, 200},
		"its own origin":            {plain, info, header("Origin", "http://localhost:8080"), 200},
		"by IPv6":                   {plain, info, func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:1", "[::1]:8080" }, 200},
		"the scheme in other case":  {plain, info, header("Authorization", "bearer "+plain.ControlToken()), 200},
		"without the token":         {plain, info, header("Authorization", ""), 401},
		"with another token":        {plain, info, header("Authorization", "Bearer x"), 401},
		"with an empty token":       {plain, info, header("Authorization", "Bearer "), 401},
		"with another scheme":       {plain, info, header("Authorization", "Basic "+plain.ControlToken()), 401},
		"from another machine":      {plain, page, from("192.0.2.1:1"), 403},
		"by an allowed name":        {plain, info, host("emulator.example:8080"), 403},
		"by a name that leads here": {plain, info, host("evil.example:8080"), 403},
		"from another site":         {plain, info, header("Origin", "https://evil.example"), 403},
		"from another port":         {plain, info, header("Origin", "http://localhost:1"), 403},
		"a page in a sandbox":       {plain, info, header("Origin", "null"), 403},
		"a file that is not there":  {plain, page + "../options.go", nil, 404},
		"an unknown operation":      {plain, "/_emulator/v1/nothing", nil, 404},
		"no operation":              {plain, "/_emulator/v1", nil, 404},
		"a broken path":             {plain, "/_emulator/v1/hubs/%2", nil, 0},
		"an empty name":             {plain, "/_emulator/v1/hubs//settings", nil, 404},
		"an older version":          {plain, "/_emulator/v0/info", nil, 404},

		"explicit, from another machine":        {explicit, info, from("192.0.2.1:1"), 200},
		"explicit, by an allowed name":          {explicit, info, host("emulator.example"), 200},
		"explicit, by the public name":          {explicit, info, host("public.example"), 200},
		"explicit, by an address":               {explicit, info, func(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.1:1", "192.0.2.9:8080" }, 200},
		"explicit, by a name that leads here":   {explicit, info, host("evil.example"), 403},
		"explicit, from another site":           {explicit, info, header("Origin", "https://evil.example"), 403},
		"explicit, the page by the public name": {explicit, info, func(r *http.Request) { r.Header.Set("Origin", "https://public.example"); r.Host = "localhost:8080" }, 200},
		"explicit, without the token":           {explicit, info, func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1"; r.Header.Del("Authorization") }, 401},
		"explicit, for reading":                 {explicit, info, header("Authorization", "Bearer another-one-to-read"), 200},
		"public, by its name":                   {public, info, host("public.example:444"), 200},
		"public, from another machine":          {public, info, func(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.1:1", "public.example:444" }, 403},
	} {
		t.Run(name, func(t *testing.T) {
			if c.status == 0 {
				return // net/http rejects it before
			}
			if w := ask(c.srv, c.path, c.change); w.Code != c.status {
				t.Errorf("answered %d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
	for _, srv := range []*emulator.Server{plain, explicit} {
		for _, e := range srv.Journal() {
			if strings.Contains(e.String(), srv.ControlToken()) {
				t.Errorf("the journal has the token: %s", e)
			}
		}
	}
	if w := ask(plain, info, header("Authorization", "")); w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("the challenge is %q", w.Header().Get("WWW-Authenticate"))
	}
}

// A read-only token reads, and waits; it learns no key with which it could write.
func TestReadOnlyToken(t *testing.T) {
	r := start(t, emulator.Options{ControlToken: "full", ControlReadToken: "read"})
	r.must("POST", "/hubs/chat/send", `{"data":"x"}`)
	r.token = "read"
	if i := r.must("GET", "/info", ""); i.text("access") != "readOnly" || i.get("connectionString") != nil {
		t.Errorf("got %v", i)
	}
	for _, path := range []string{"/hubs", "/connections", "/groups", "/users", "/journal", "/journal/1", "/journal/export", "/faults", "/hubs/chat/settings"} {
		r.must("GET", path, "")
	}
	r.must("POST", "/idle", "")
	for _, call := range []string{
		"POST /reset", "POST /hubs/chat/send", "POST /hubs/chat/close", "PUT /hubs/chat/settings", "POST /faults", "DELETE /faults",
		"POST /tokens", "POST /tokens/rest", "POST /journal/1/replay", "POST /journal/import",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := r.fails(403, method, path, `{}`); !strings.Contains(got, "reading") {
			t.Errorf("%s: %s", call, got)
		}
	}
}

func TestMethodsAndQueries(t *testing.T) {
	r := start(t, emulator.Options{})
	status, _ := r.do("DELETE", "/hubs", "")
	if status != 405 {
		t.Errorf("answered %d", status)
	}
	r.fails(405, "GET", "/reset", "")
	r.fails(400, "GET", "/info?x=1", "")
	r.fails(400, "POST", "/hubs/chat/send?x=1", `{"data":1}`)
	for _, v := range []string{"-1", "x", "301", "NaN", "Inf", ""} {
		r.fails(400, "POST", "/idle?timeout="+v, "")
		r.fails(400, "POST", "/reset?timeout="+v, "")
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		o    emulator.Options
		want string
	}{
		"a token without the API":   {emulator.Options{ControlToken: "x"}, "set Control too"},
		"only a read token":         {emulator.Options{Control: true, ControlReadToken: "x"}, "set ControlToken too"},
		"two equal tokens":          {emulator.Options{Control: true, ControlToken: "x", ControlReadToken: "x"}, "must differ"},
		"a blank":                   {emulator.Options{Control: true, ControlToken: "a b"}, "visible ASCII"},
		"a short one for others":    {emulator.Options{Control: true, ControlToken: "short", Addr: "0.0.0.0:0"}, "16 characters"},
		"a short one to read":       {emulator.Options{Control: true, ControlToken: "long-enough-to-be-safe", ControlReadToken: "short", Addr: "0.0.0.0:0"}, "16 characters"},
		"a public URL without HTTP": {emulator.Options{PublicURL: "emulator.example"}, "http or https"},
		"one with another scheme":   {emulator.Options{PublicURL: "ws://emulator.example"}, "http or https"},
		"one with a path":           {emulator.Options{PublicURL: "http://emulator.example/x"}, "path"},
		"one with a query":          {emulator.Options{PublicURL: "http://emulator.example?x"}, "http or https"},
	} {
		srv, err := emulator.Start(c.o)
		if err == nil {
			_ = srv.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	srv := emulator.StartT(t, emulator.Options{Control: true, ControlToken: "short", Addr: "localhost:0"})
	if srv.ControlToken() != "short" {
		t.Errorf("the token is %q", srv.ControlToken())
	}
	srv = emulator.StartT(t, emulator.Options{})
	if srv.ControlURL() != "" || srv.ControlToken() != "" || srv.DashboardURL() != "" {
		t.Error("there is a control API although nobody asked for one")
	}
	for _, path := range []string{"/_emulator/v1/info", "/dashboard/"} {
		if w := ask(srv, path, nil); w.Code != 404 {
			t.Errorf("%s: answered %d", path, w.Code)
		}
	}
}

// The public address is one more: links and client addresses have it, for requests
// that came by it, and tokens for any of the addresses are accepted at each.
func TestPublicURL(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Control: true, ControlToken: "a-long-token-to-use", PublicURL: "https://public.example"})
	if got := srv.ClientURL("chat"); got != "wss://public.example/client/hubs/chat" {
		t.Errorf("ClientURL is %s", got)
	}
	if got := srv.MQTTURL("chat"); got != "wss://public.example/clients/mqtt/hubs/chat" {
		t.Errorf("MQTTURL is %s", got)
	}
	if got := srv.DashboardURL(); !strings.HasPrefix(got, "https://public.example/dashboard/#token=") {
		t.Errorf("DashboardURL is %s", got)
	}
	if strings.Contains(srv.URL()+srv.ConnectionString()+srv.ControlURL(), "public") {
		t.Errorf("the address of this machine is %s, %s", srv.URL(), srv.ConnectionString())
	}
	call := func(host, forwarded, method, path, body, bearer string) object {
		t.Helper()
		q := httptest.NewRequest(method, "http://"+host+path, strings.NewReader(body))
		q.RemoteAddr = "127.0.0.1:1"
		q.Header.Set("Authorization", "Bearer "+bearer)
		if forwarded != "" {
			q.Header.Set("X-Forwarded-Host", forwarded)
		}
		w := httptest.NewRecorder()
		if srv.ServeHTTP(w, q); w.Code/100 != 2 {
			t.Errorf("%s %s: %d %s", host, path, w.Code, w.Body)
			return object{}
		}
		if w.Body.Len() == 0 {
			return nil
		}
		return decode(t, w.Body.Bytes())
	}
	own := strings.TrimPrefix(srv.URL(), "http://")
	for range 3 {
		call(own, "", "POST", "/_emulator/v1/faults", `{"at":"send","action":{"type":"stall"}}`, srv.ControlToken())
	}
	for _, tt := range []struct{ host, forwarded, want string }{
		{own, "", srv.URL()},
		{"public.example", "", "https://public.example"},
		{"localhost:8080", "public.example", "https://public.example"},
		{"localhost:8080", "evil.example", "http://localhost:8080"},
	} {
		page := call(tt.host, tt.forwarded, "GET", "/_emulator/v1/faults?limit=1", "", srv.ControlToken())
		if got := page.text("nextLink"); !strings.HasPrefix(got, tt.want+"/_emulator/v1/faults?continue=") {
			t.Errorf("%v: nextLink is %s", tt, got)
		}
		made := call(tt.host, tt.forwarded, "POST", "/_emulator/v1/tokens", `{"hub":"chat"}`, srv.ControlToken())
		if got := made.text("baseUrl"); got != "ws"+strings.TrimPrefix(tt.want, "http")+"/client/hubs/chat" {
			t.Errorf("%v: the URL is %s", tt, got)
		}
		// What is signed for one address is accepted at another.
		for _, audience := range []string{"https://public.example", srv.URL()} {
			rest := call(own, "", "POST", "/_emulator/v1/tokens/rest", `{"url":"`+audience+`/api/hubs/chat/:generateToken"}`, srv.ControlToken()).text("token")
			call(tt.host, tt.forwarded, "POST", "/api/hubs/chat/:generateToken", "", rest)
		}
	}
	if i := call("public.example", "", "GET", "/_emulator/v1/info", "", srv.ControlToken()); i.text("url") != "https://public.example" {
		t.Errorf("info is %v", i)
	}
}
