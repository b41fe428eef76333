package functionapp_test

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"example.com/webpubsub/internal/functionapp"
)

const hostJSON = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"bin/functions"},
	"enableProxyingHttpRequest":true,"enableForwardingHttpRequest":true}}`

const functionJSON = `{"bindings":[{"type":"httpTrigger","direction":"in","name":"req","authLevel":"anonymous"},{"type":"http","direction":"out","name":"res"}]}`

// Everything that makes a deployment fail, in the package that would do it.
func TestCheck(t *testing.T) {
	elf, err := os.ReadFile("testdata/program") // the head of a program for linux/amd64
	if err != nil {
		t.Fatal(err)
	}
	arm := append([]byte(nil), elf...)
	arm[18], arm[19] = 183, 0 // e_machine
	for _, tt := range []struct {
		name   string
		change func(fstest.MapFS)
		want   string // of the first finding; none if empty
		fatal  bool
	}{
		{"as package makes it", func(fstest.MapFS) {}, "", false},
		{"a script", func(m fstest.MapFS) { m["bin/functions"].Data = []byte("#!/bin/sh\n") }, "", false},
		{"routes and function.json", func(m fstest.MapFS) {
			m["host.json"].Data = []byte(strings.Replace(hostJSON, `"description"`, `"http":{"routes":[{"route":"events"}]},"description"`, 1))
		}, "there is a function.json one folder below", true},
		{"routes alone", func(m fstest.MapFS) {
			m["host.json"].Data = []byte(strings.Replace(hostJSON, `"description"`, `"http":{"routes":[{"route":"events"}]},"description"`, 1))
			delete(m, "events/function.json")
		}, "a host before 4.1044 finds none", false},
		{"no function", func(m fstest.MapFS) { delete(m, "events/function.json") }, "No job functions found", true},
		{"function.json too deep", func(m fstest.MapFS) {
			m["functions/events/function.json"] = m["events/function.json"]
			delete(m, "events/function.json")
		}, "deeper ones are not found", true},
		{"not executable", func(m fstest.MapFS) { m["bin/functions"].Mode = 0o644 }, "not executable (mode 0644)", true},
		{"executable missing", func(m fstest.MapFS) { delete(m, "bin/functions") }, "bin/functions is not in the package", true},
		{"built for Windows", func(m fstest.MapFS) { m["bin/functions"].Data = []byte("MZ") }, "not a program for Linux", true},
		{"built for another processor", func(m fstest.MapFS) { m["bin/functions"].Data = arm }, "processor AARCH64", false},
		{"neither flag", func(m fstest.MapFS) {
			m["host.json"].Data = []byte(strings.NewReplacer("enableProxyingHttpRequest", "a", "enableForwardingHttpRequest", "b").Replace(hostJSON))
		}, "neither enableProxyingHttpRequest nor", true},
		{"forwarding alone", func(m fstest.MapFS) {
			m["host.json"].Data = []byte(strings.Replace(hostJSON, "enableProxyingHttpRequest", "a", 1))
		}, "chunked body", false},
		{"proxying alone", func(m fstest.MapFS) {
			m["host.json"].Data = []byte(strings.Replace(hostJSON, "enableForwardingHttpRequest", "a", 1))
		}, "a host before 4.1044 does not know", false},
		{"executable with ./", func(m fstest.MapFS) {
			m["host.json"].Data = []byte(strings.Replace(hostJSON, "bin/", "./bin/", 1))
		}, "without ./", true},
		{"old version", func(m fstest.MapFS) { m["host.json"].Data = []byte(strings.Replace(hostJSON, "2.0", "1.0", 1)) }, `version is "1.0"`, true},
		{"host.json is not JSON", func(m fstest.MapFS) { m["host.json"].Data = []byte("{") }, "host.json cannot be read", true},
		{"function.json is not JSON", func(m fstest.MapFS) { m["events/function.json"].Data = []byte("{") }, "events/function.json cannot be read", true},
		{"other bindings", func(m fstest.MapFS) {
			m["events/function.json"].Data = []byte(`{"bindings":[{"type":"webPubSubTrigger"}]}`)
		}, "passes no requests on", true},
		{"preflight not allowed", func(m fstest.MapFS) {
			m["events/function.json"].Data = []byte(strings.Replace(functionJSON, `"name":"req"`, `"name":"req","methods":["POST","get"]`, 1))
		}, "leaves out options", false},
		{"function key", func(m fstest.MapFS) {
			m["events/function.json"].Data = []byte(strings.Replace(functionJSON, "anonymous", "function", 1))
		}, "need a function key", false},
		{"bad name", func(m fstest.MapFS) { m["1st/function.json"] = m["events/function.json"] }, "1st is not a valid name", true},
		{"settings with keys", func(m fstest.MapFS) { m["local.settings.json"] = &fstest.MapFile{} }, "local.settings.json is in the package", true},
		{"a folder around it", func(m fstest.MapFS) {
			for name, file := range maps.Clone(m) {
				m["app/"+name] = file
				delete(m, name)
			}
		}, "neither host.json nor bootstrap", true},
		{"Lambda", func(m fstest.MapFS) {
			clear(m)
			m["bootstrap"] = &fstest.MapFile{Mode: 0o755, Data: arm}
		}, "", false},
		{"Lambda, not executable", func(m fstest.MapFS) {
			clear(m)
			m["bootstrap"] = &fstest.MapFile{Mode: 0o644, Data: arm}
		}, "bootstrap is not executable", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := fstest.MapFS{
				"host.json":            {Mode: 0o644, Data: []byte(hostJSON)},
				"events/function.json": {Mode: 0o644, Data: []byte(functionJSON)},
				"bin/functions":        {Mode: 0o755, Data: elf},
			}
			tt.change(m)
			findings, err := functionapp.Check(m)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if len(findings) > 0 {
					t.Errorf("got %+v, want nothing", findings)
				}
				return
			}
			for _, f := range findings {
				if strings.Contains(f.Text, tt.want) && f.Fatal == tt.fatal && f.Remedy != "" {
					return
				}
			}
			t.Errorf("got %+v, want %q, fatal %v, and a remedy", findings, tt.want, tt.fatal)
		})
	}
}

// Check returns findings, not an error, for any content of a package.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(hostJSON), []byte(functionJSON), []byte("#!"))
	f.Add([]byte(`{"customHandler":[]}`), []byte(`{"bindings":{}}`), []byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, host, function, program []byte) {
		_, err := functionapp.Check(fstest.MapFS{
			"host.json":            {Data: host},
			"events/function.json": {Data: function},
			"bin/functions":        {Data: program},
		})
		if err != nil {
			t.Error(err)
		}
	})
}
