package emulator_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
)

const settingsExample = `{
  // as in the readme of that emulator
  "urls": "http://localhost:8090;http://*:8091/",
  "Logging": {"LogLevel": {"Default": "Information"}},
  "webPubSub": {
    "AccessKey": "custom-emulator-access-key-1234567890",
    "AllowUnvalidatedEntraTokens": "True",
    "Hubs": {
      "chat": {
        "EventHandlers": [
          {
            "UrlTemplate": "http://{HUB}.test:7071/events/{Hub}/{EVENT}?code=secret",
            "SystemEvents": ["connect", "connected",],
            "eventPattern": "message, join", /* the other name of it is UserEventPattern */
          },
          {
            "UrlTemplate": "tunnel:///events", "UserEventPattern": "*",
            "GroupPresenceEvents": {"EventNames": ["joined"], "GroupFilters": ["room.*"]},
            "Auth": {"Type": "managedIdentity", "ManagedIdentity": {"Resource": "api://app"}}
          },
        ],
        "EventListeners": [
          {
            "EventNameFilter": {"SystemEvents": ["connect", "connected"], "UserEventPattern": "message, join"},
            "EventHubEndpoint": {"FullyQualifiedNamespace": "a.servicebus.windows.net", "EventHubName": "e"}
          },
          {"EventHubEndpoint": {"EventHubName": "e", "ConnectionString": "Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=secret;UseDevelopmentEmulator=true"}},
          {"File": "events.jsonl"}, {"Url": "http://localhost:9000"}
        ],
        "ApplicationFirewall": {
          "ClientConnectionCountRules": [{"Type": "ThrottleByUserIdRule", "MaxCount": 5}], "MaxClientConnectionLifetimeInSeconds": 60
        },
        "AnonymousConnectPolicy": "allow",
        "WebSocketKeepAliveIntervalInSeconds": 5
      },
      "other": null
    }
  }
}`

// settingsFile writes a file of settings and returns its path.
func settingsFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadSettings(t *testing.T) {
	path := settingsFile(t, "appsettings.json", "\xef\xbb\xbf"+settingsExample)
	got, err := emulator.ReadSettings(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.AccessKey != "custom-emulator-access-key-1234567890" || !got.AllowUnverifiedEntra || got.TLS ||
		got.Addr != "localhost:8090" || got.AddrFrom != "urls, "+path+", line 3" {
		t.Errorf("got %+v", got)
	}
	want := map[string]emulator.HubSettings{
		"chat": {AllowAnonymous: true, KeepAlive: 5 * time.Second, EventHandlers: []emulator.EventHandler{
			{URL: "http://chat.test:7071/events/{hub}/{event}?code=secret", UserEvents: "message, join", SystemEvents: []string{"connect", "connected"}},
			{URL: "tunnel:///events", UserEvents: "*", GroupEvents: []string{"joined"}, GroupFilters: []string{"room.*"}, Audience: "api://app"},
		}, EventListeners: []emulator.EventListener{
			{UserEvents: "message, join", SystemEvents: []string{"connected"}, EventHub: emulator.EventHub{Namespace: "a.servicebus.windows.net", Name: "e"}},
			{EventHub: emulator.EventHub{Name: "e", ConnectionString: "Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=secret;UseDevelopmentEmulator=true"}},
			{File: "events.jsonl"},
			{URL: "http://localhost:9000"},
		}, ApplicationFirewall: emulator.ApplicationFirewall{
			ClientConnectionCountRules:  []emulator.ClientConnectionCountRule{{By: emulator.ThrottleByUserID, MaxCount: 5}},
			MaxClientConnectionLifetime: time.Minute,
		}},
		"other": {},
	}
	if !reflect.DeepEqual(got.Hubs, want) {
		t.Errorf("hubs %+v", got.Hubs)
	}
	if len(got.Warnings) != 2 || !strings.Contains(got.Warnings[0], `do not get the system event "connect"`) || !strings.Contains(got.Warnings[1], ":8091 is ignored") {
		t.Errorf("warnings %q", got.Warnings)
	}
}

// The order of the sources is that of WebApplicationBuilder of ASP.NET Core.
func TestSettingsSources(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "appsettings.json")
	for name, text := range map[string]string{
		"appsettings.json":             `{"WebPubSub":{"AccessKey":"file"},"Urls":"http://localhost:1"}`,
		"appsettings.Production.json":  `{"webpubsub":{"accesskey":"production"}}`,
		"appsettings.Development.json": `{"WebPubSub:AccessKey":"development"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, file string
		environ    []string
		key, addr  string
	}{
		{"nothing", "", nil, "", ""},
		{"files", path, nil, "production", "localhost:1"},
		{"another environment", path, []string{"ASPNETCORE_ENVIRONMENT=Development"}, "development", "localhost:1"},
		{"two environments", path, []string{"DOTNET_environment=Development", "ASPNETCORE_ENVIRONMENT=none"}, "development", "localhost:1"},
		{"an environment is no path", path, []string{"DOTNET_ENVIRONMENT=../Development"}, "development", "localhost:1"},
		{"variables", path, []string{"WEBPUBSUB__accessKey=variable", "URLS=http://localhost:2"}, "variable", "localhost:2"},
		{"Urls alone", "", []string{"urls=http://localhost:2"}, "", "localhost:2"},
		{"prefix without settings", "", []string{"ASPNETCORE_URLS=http://localhost:3", "DOTNET_URLS=http://localhost:4"}, "", ""},
		{"prefix with a variable", "", []string{"ASPNETCORE_URLS=http://localhost:3", "WebPubSub__AccessKey=k"}, "k", "localhost:3"},
		{"two prefixes", "", []string{"DOTNET_URLS=http://localhost:4", "ASPNETCORE_URLS=http://localhost:3", "WebPubSub__AccessKey=k"}, "k", "localhost:4"},
		{"prefix and file", path, []string{"ASPNETCORE_URLS=http://localhost:3", "ASPNETCORE_WebPubSub__AccessKey=k"}, "production", "localhost:1"},
		{"Kestrel", path, []string{"Kestrel__Endpoints__A__Url=http://127.0.0.1:5"}, "production", "127.0.0.1:5"},
		{"Kestrel without settings", "", []string{"Kestrel__Endpoints__A__Url=http://127.0.0.1:5"}, "", ""},
		{"settings of an application", "", []string{"WebPubSubHub=x", "WebPubSubConnectionString__serviceUri=y", "WEBPUBSUB_ADDR=z"}, "", ""},
	} {
		got, err := emulator.ReadSettings(tt.file, tt.environ)
		if err != nil || got.AccessKey != tt.key || got.Addr != tt.addr {
			t.Errorf("%s: %+v %v", tt.name, got, err)
		}
	}
}

func TestSettingsMerge(t *testing.T) {
	path := settingsFile(t, "settings.json", `{"WebPubSub":{"Hubs":{"Chat":{"EventHandlers":[
		{"UrlTemplate":"http://localhost/a","EventPattern":"*"},{"UrlTemplate":"http://localhost/b"}]}}}}`)
	got, err := emulator.ReadSettings(path, []string{
		"WebPubSub__Hubs__chat__EventHandlers__0__UrlTemplate=http://localhost/c",
		"WebPubSub__Hubs__chat__EventHandlers__10__UrlTemplate=http://localhost/e",
		"WebPubSub__Hubs__chat__EventHandlers__9__UrlTemplate=http://localhost/d",
		"WebPubSub__Hubs__chat__EventHandlers__9__SystemEvents__3=connect",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []emulator.EventHandler{
		{URL: "http://localhost/c", UserEvents: "*"},
		{URL: "http://localhost/b"},
		{URL: "http://localhost/d", SystemEvents: []string{"connect"}},
		{URL: "http://localhost/e"},
	}
	if h := got.Hubs["chat"]; len(got.Hubs) != 1 || !reflect.DeepEqual(h.EventHandlers, want) {
		t.Errorf("got %+v", got.Hubs)
	}
}

func TestSettingsAddresses(t *testing.T) {
	for url, want := range map[string]string{
		"http://localhost":           "localhost:80",
		"https://localhost":          "localhost:443 TLS",
		"HTTP://LOCALHOST:0":         "LOCALHOST:0",
		"http://*:8080":              ":8080",
		"http://+:8080":              ":8080",
		"http://0.0.0.0:8080":        "0.0.0.0:8080",
		"http://[::1]:8080/":         "[::1]:8080",
		"http://emulator:8080":       ":8080", // as Kestrel
		" ; http://127.0.0.1:1 ; ":   "127.0.0.1:1",
		"ftp://localhost":            "neither http nor https",
		"localhost:8080":             "is not the URL of an address",
		"http://localhost:8080/base": "remove the path",
		"http://unix:/tmp/socket":    "not on a socket",
		"http://u@localhost":         "is not the URL of an address",
		"http://localhost:99999999x": "is not the URL of an address",
	} {
		got, err := emulator.ReadSettings("", []string{"Urls=" + url})
		if err != nil {
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "environment variable Urls") {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if s := got.Addr + map[bool]string{true: " TLS"}[got.TLS]; s != want {
			t.Errorf("%s: %s, want %s", url, s, want)
		}
	}
}

// A name that neither emulator knows, and a value that neither takes, is an error
// that names the setting and its source, and nothing secret.
func TestSettingsErrors(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(settingsExample, old) {
			t.Fatalf("%s is not in the example", old)
		}
		return strings.Replace(settingsExample, old, new, 1)
	}
	const first = "webPubSub:Hubs:chat:EventHandlers:0"
	for _, tt := range []struct{ text, want string }{
		{"", "parsing value: unexpected EOF"},
		{"[]", "not a JSON object"},
		{"// nothing", "unexpected EOF"},
		{`{"a": "b"`, "unexpected EOF"},
		{replace(`"AccessKey"`, `"AcessKey"`), "webPubSub:AcessKey (FILE, line 6): there is no such setting; there are AccessKey, AllowUnvalidatedEntraTokens, Hubs"},
		{replace(`"eventPattern"`, `"Pattern"`), first + ":Pattern (FILE, line 14): there is no such setting"},
		{replace(`"AnonymousConnectPolicy"`, `"Anonymous"`), "there is no such setting"},
		{replace(`"True"`, `"yes"`), `"yes" is neither true nor false`},
		{replace(`"True"`, `[true]`), "AllowUnvalidatedEntraTokens (FILE, line 7): an object or a list is not what belongs here"},
		{replace(`["connect", "connected",]`, `"connect"`), first + ":SystemEvents (FILE, line 13): a text is not what belongs here"},
		{replace(`"connect", `, `"connectd", `), `system event "connectd" is unknown`},
		{replace(`message, join`, `mess*`), "user events"},
		{replace(`http://{HUB}`, `ftp://{HUB}`), first + ":UrlTemplate (FILE, line 12): the event handler URL must begin with"},
		{replace(`{HUB}.test`, `{event}.test`), "parameter in the host"},
		{replace(`"UserEventPattern": "*"`, `"UserEventPattern": "*", "EventPattern": "a"`), "are the same setting"},
		{replace(`"Resource": "api://app"`, ``), "Resource is missing"},
		{replace(`"managedIdentity"`, `"Key"`), `"Key" is neither None nor ManagedIdentity`},
		{replace(`"allow"`, `"maybe"`), "neither allow nor deny"},
		{replace(`Seconds": 5`, `Seconds": 500`), "1 to 120 are allowed"},
		{replace(`"other"`, `"o!"`), "webPubSub:Hubs:o! (FILE, line 36): "},
		{replace(`"MaxCount": 5`, `"MaxCount": 0`), "webPubSub:Hubs:chat:ApplicationFirewall.clientConnectionCountRules[0].maxCount: 0: 1 to 2147483647 are allowed (FILE, line "},
		{replace(`"MaxCount": 5`, `"Max": 5`), `unknown field "Max"`},
		{replace(`"ThrottleByUserIdRule"`, `"Other"`), `clientConnectionCountRules[0]: type: "Other" is not one of`},
		{replace(`"FullyQualifiedNamespace": "a`, `"FullyQualifiedNamespace": "https://a`), "EventListeners:0 (FILE, line 25): \"https://a.servicebus.windows.net\" is not the host name"},
		{replace(`SharedAccessKeyName=a;`, ``), "the connection string of the event hub"},
		{replace(`"EventNameFilter"`, `"Filter"`), "there is no such setting; there are EventHubEndpoint, EventNameFilter, File, Url"},
		{replace(`"custom-emulator`, `" custom`), "a connection string cannot contain it"},
		{replace(`"other": null`, `"other": "text"`), "it takes an object"},
		{`{"a": {"b": 1}, "A:B": 2}`, "line 1: A:B: it occurs a second time, first on line 1"},
		{strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70), "nested too deeply"},
		{strings.Repeat("[", 20_000), "too many objects"},
		{`{"a":"` + strings.Repeat(" ", 1<<20) + `"}`, "exceed 1 MiB"},
		{`{"Kestrel": {"Endpoints": {"A": {"Certificate": {}, "Protocols": "Http1"}}}}`, "the endpoint has no Url"},
	} {
		path := settingsFile(t, "appsettings.json", tt.text)
		_, err := emulator.ReadSettings(path, nil)
		if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(tt.want, "FILE", path)) {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "access-key")) {
			t.Errorf("the error shows a key: %v", err)
		}
	}
	if _, err := emulator.ReadSettings(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a missing file was accepted")
	}
	if _, err := emulator.ReadSettings("", []string{"WebPubSub__Hub__chat=x"}); err == nil || !strings.Contains(err.Error(), "WebPubSub:Hub (environment variable WebPubSub__Hub__chat)") {
		t.Errorf("a wrong variable: %v", err)
	}
}

func TestSettingsWarnings(t *testing.T) {
	for want, environ := range map[string][]string{
		"less than 32 bytes": {"WebPubSub__AccessKey=short"},
		"Kestrel:Limits (environment variable Kestrel__Limits__MaxConcurrentConnections) is not supported": {"Kestrel__Limits__MaxConcurrentConnections=1", "WebPubSub__AllowUnvalidatedEntraTokens=false"},
		"Kestrel:Endpoints:A:Protocols": {"Kestrel__Endpoints__A__Protocols=Http1", "Kestrel__Endpoints__A__Url=http://localhost:1", "WebPubSub__AllowUnvalidatedEntraTokens=false"},
	} {
		got, err := emulator.ReadSettings("", environ)
		if err != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], want) {
			t.Errorf("%q: %+v %v", want, got, err)
		}
	}
	path := settingsFile(t, "a.json", `{"WebPubSubs":{}}`)
	if got, err := emulator.ReadSettings(path, nil); err != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "no section WebPubSub") {
		t.Errorf("without the section: %+v %v", got, err)
	}
}

// The hubs of the settings are reloaded, also from a second file that comes later,
// and a file that is broken or removed changes nothing.
func TestSettingsAreReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := settingsFile(t, "appsettings.json", `{"WebPubSub":{"Hubs":{"chat":{}}}}`)
		set, err := emulator.ReadSettings(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		srv := virtual(t, emulator.Options{Settings: set, Hubs: map[string]emulator.HubSettings{"mine": {}}})
		anonymous := func(hub string) bool {
			t.Helper()
			_, _, err := tryDial(t, srv, dialOptions{hub: hub, noToken: true})
			return err == nil
		}
		write := func(name, text string) {
			t.Helper()
			name = filepath.Join(filepath.Dir(path), name)
			err := os.Remove(name)
			if text != "" {
				err = os.WriteFile(name, []byte(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			advance(2 * time.Second)
		}
		const allow = `{"WebPubSub":{"Hubs":{"CHAT":{"AnonymousConnectPolicy":"allow"},"mine":{"AnonymousConnectPolicy":"allow"}}}}`
		if anonymous("chat") {
			t.Error("an anonymous client before the settings allow it")
		}
		write("appsettings.json", allow)
		if !anonymous("chat") || anonymous("mine") {
			t.Error("the settings were not reloaded, or replaced those of Options.Hubs")
		}
		write("appsettings.json", `{"WebPubSub":{`)
		write("appsettings.json", "")
		if !anonymous("chat") {
			t.Error("a broken file replaced the settings")
		}
		write("appsettings.json", allow)
		write("appsettings.Production.json", `{"WebPubSub":{"Hubs":{"chat":{"AnonymousConnectPolicy":"deny"}}}}`)
		if anonymous("chat") {
			t.Error("the second file was not read")
		}
		reloaded, refused := 0, 0
		for _, e := range srv.Journal() {
			switch {
			case e.Kind == emulator.EntryReloaded && e.Name == path:
				reloaded++
			case e.Kind == emulator.EntryRejected && e.Name == "hub settings":
				refused++
			}
		}
		if reloaded != 3 || refused != 2 {
			t.Errorf("%d entries of reloads and %d of refusals, want 3 and 2", reloaded, refused)
		}
	})
}

func FuzzReadSettings(f *testing.F) {
	f.Add(settingsExample, "Urls=http://localhost:1")
	f.Add(`{"WebPubSub:Hubs:a:EventHandlers:0:UrlTemplate":"http://{hub}"}`, "WebPubSub__Hubs__a__EventHandlers__1__UrlTemplate=tunnel:///x")
	f.Add("{/*", "WebPubSub____=")
	f.Add(`{"Kestrel":{"Endpoints":{"A":{"Url":"https://+"}}}}`, "DOTNET_ENVIRONMENT=/")
	f.Fuzz(func(t *testing.T, text, variable string) {
		s, err := emulator.ReadSettings(settingsFile(t, "a.json", text), []string{variable})
		if err != nil {
			return
		}
		if err := emulator.CheckHubs(s.Hubs); err != nil {
			t.Errorf("hubs were read that the emulator rejects: %v", err)
		}
	})
}
