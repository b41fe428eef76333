package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testlog"
)

const longKey = "custom-emulator-access-key-1234567890"

// The start says where the address comes from. A flag comes before its variable,
// then the variables of Microsoft's emulator, then its file.
func TestSettingsOfMicrosoftsEmulator(t *testing.T) {
	file := filepath.Join(t.TempDir(), "appsettings.json")
	text := `{"Urls": "http://127.0.0.1:0", "WebPubSub": {"AccessKey": "` + longKey + `",
		"Hubs": {"chat": {"AnonymousConnectPolicy": "allow"}, "other": {}}}} // a comment`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args, vars []string
		want       []string
	}{
		"file":     {nil, nil, []string{"on http://127.0.0.1:", "(from Urls, " + file + ", line 1)", "AccessKey=" + longKey}},
		"Urls":     {nil, []string{"Urls=http://localhost:0"}, []string{"on http://localhost:", "(from Urls, environment variable Urls)", longKey}},
		"variable": {nil, []string{"Urls=http://127.0.0.1:1", "WEBPUBSUB_ADDR=localhost:0", "WebPubSub__AccessKey=x" + longKey}, []string{"on http://localhost:", "(from WEBPUBSUB_ADDR)", "=x" + longKey}},
		"flag":     {[]string{"-addr", "localhost:0", "-key", "y"}, []string{"WEBPUBSUB_ADDR=127.0.0.1:1", "WebPubSub__AccessKey=short"}, []string{"(from -addr)", "AccessKey=y;", "Warning: WebPubSub:AccessKey has less than 32 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			log := &testlog.Buffer{}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- dispatch(ctx, testEnv(log, log, tt.vars), append([]string{"emulator", "-settings", file}, tt.args...))
			}()
			waitFor(t, func() bool { return strings.Contains(log.String(), "Press Ctrl-C") || len(ended) > 0 }, "the start")
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(log.String(), want) {
					t.Errorf("printed\n%s\nwant %s", log, want)
				}
			}
		})
	}
}

// The flags about one hub come before what the settings have of it, and without
// them the settings decide.
func TestSettingsOfTheHubOfTheFlags(t *testing.T) {
	e := testEnv(&testlog.Buffer{}, &testlog.Buffer{}, []string{"WebPubSub__Hubs__Chat__AnonymousConnectPolicy=allow"})
	set := &emulatorSettings{}
	addr, key, fs := "localhost:0", "k", flagsOf(t.Context(), e, "emulator")
	if err := set.apply(e, fs, &addr, &key, &security{}); err != nil {
		t.Fatal(err)
	}
	if set.addrFrom != "the default of -addr" || addr != "localhost:0" || key != "k" {
		t.Errorf("%+v, address %s, key %s", set, addr, key)
	}
	if !set.has("chat") || set.has("other") || len(set.reread(e)) != 1 {
		t.Errorf("hubs %v", set.read.Hubs)
	}
	l := &lines{hub: "mine", more: func() map[string]emulator.HubSettings { return set.reread(e) }}
	if !l.configured("chat") || l.configured("other") || !l.configured("mine") {
		t.Error("the log does not know which hubs have settings")
	}
}

func TestSettingsErrorsOfTheCommand(t *testing.T) {
	for _, tt := range []struct {
		want string
		vars []string
		args []string
	}{
		{"Urls, environment variable Urls: https requires -tls FILE", []string{"Urls=https://localhost:0"}, nil},
		{"WebPubSub:Hub (environment variable WebPubSub__Hub): there is no such setting", []string{"WebPubSub__Hub=chat"}, nil},
		{"no such file", nil, []string{"-settings", filepath.Join(t.TempDir(), "none")}},
	} {
		for _, command := range []string{"emulator", "dev"} {
			args := append([]string{command}, tt.args...)
			if command == "dev" {
				args = append(args, "-functions-addr", "localhost:0")
			}
			if _, _, err := call(t, tt.vars, args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %s", command, err, tt.want)
			}
		}
	}
}
