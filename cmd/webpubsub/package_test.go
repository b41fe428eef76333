package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/functionapp"
	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/lambdahost"
)

// The programs that are packed here are those of the test application, so that any
// application may be in package app; [TestPackageFolder] packs the real ones.
const testPrograms = "./internal/test/testapp/functions"

// packed remembers what pack has built, by its arguments: the linker is slow.
var packed = make(map[string][]byte)

// pack runs the package command for this machine's processor.
func pack(t *testing.T, args ...string) (file string) {
	t.Helper()
	if testing.Short() {
		t.Skip("packages are not built in short mode")
	}
	t.Chdir(filepath.Join("..", ".."))
	file = filepath.Join(t.TempDir(), "app.zip")
	key := strings.Join(args, " ")
	if packed[key] == nil {
		packed[key] = packAnew(t, args...)
	}
	if err := os.WriteFile(file, packed[key], 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func packAnew(t *testing.T, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.zip")
	if _, errOut, err := call(t, nil, append([]string{"package", "-arch", runtime.GOARCH, "-o", file}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, errOut)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// entries lists a zip as "mode name", with what is fixed in every one checked.
func entries(t *testing.T, file string) []string {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out []string
	for _, f := range z.File {
		if unix := f.CreatorVersion >> 8; unix != 3 {
			t.Errorf("%s is made on system %d: only for 3, Unix, does the mode count", f.Name, unix)
		}
		if y := f.Modified.UTC().Year(); y != 1980 {
			t.Errorf("%s has the time of a clock: %v", f.Name, f.Modified)
		}
		out = append(out, fmt.Sprintf("%04o %s", f.Mode().Perm(), f.Name))
	}
	return out
}

func TestPackageContents(t *testing.T) {
	for _, tt := range []struct {
		args, want []string
	}{
		{[]string{testPrograms}, []string{"0755 bin/functions", "0644 events/function.json", "0644 host.json", "0644 index/function.json", "0644 negotiate/function.json"}},
		{[]string{"-target", "lambda", testPrograms}, []string{"0755 bootstrap"}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			file := pack(t, tt.args...)
			if got := entries(t, file); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The same sources give the same bytes, and not many of them: the platform
// fetches and unpacks the package with every cold start.
func TestPackageIsReproducible(t *testing.T) {
	first, err := os.ReadFile(pack(t, testPrograms))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, packAnew(t, testPrograms)) {
		t.Error("two runs wrote different bytes")
	}
	if n := len(first); n > 6e6 {
		t.Errorf("the package has %d bytes, want at most 6 MB", n)
	}
}

// onLinux skips what runs the package's own program.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the program of a package is for Linux")
	}
}

func fetch(t *testing.T, r *http.Request, err error) (int, http.Header, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	resp, body := functionshost.Do(t, r)
	return resp.StatusCode, resp.Header, body
}

// One package runs on hosts of both kinds, from a folder that nothing may be
// written to: current ones take its function.json files and proxy, older ones
// forward. There were two packages, and each failed on the other kind of host in a
// way that the log did not explain.
func TestPackageRunsOnFunctions(t *testing.T) {
	onLinux(t)
	for _, older := range []bool{false, true} {
		t.Run(map[bool]string{false: "proxying", true: "forwarding"}[older], func(t *testing.T) {
			root := functionshost.Unzip(t, pack(t, testPrograms))
			host := functionshost.Start(t, functionshost.Options{
				Root: root, Older: older,
				Settings: []string{"WebPubSubConnectionString=" + handlertest.ConnectionString, "WebPubSubAllowUserIdQuery=true"},
			})
			if host.Forwarding() != older {
				t.Errorf("forwarding is %v", host.Forwarding())
			}
			r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/negotiate?userId=alice", nil)
			if status, _, body := fetch(t, r, err); status != http.StatusOK || !strings.Contains(body, `"accessToken"`) {
				t.Errorf("negotiate responded with %d %s", status, body)
			}
			r, err = http.NewRequest(http.MethodOptions, host.URL()+"/api/events/validate", nil)
			r.Header.Set("WebHook-Request-Origin", handlertest.Origin)
			if status, header, body := fetch(t, r, err); status != http.StatusOK || header.Get("WebHook-Allowed-Origin") != handlertest.Origin {
				t.Errorf("the preflight got %d %s", status, body)
			}
			r, err = http.NewRequest(http.MethodGet, host.URL()+"/api/index/page.js", nil)
			if status, _, _ := fetch(t, r, err); status != http.StatusOK {
				t.Errorf("a file of the page got %d", status)
			}
		})
	}
}

// An example is packed like the application, with all routes.
func TestPackageOfExample(t *testing.T) {
	onLinux(t)
	const example = "./examples/minimal"
	if _, err := os.Stat(filepath.Join("..", "..", example)); err != nil {
		t.Skip("there is no example") // a fork may remove it
	}
	host := functionshost.Start(t, functionshost.Options{
		Root:     functionshost.Unzip(t, pack(t, example)),
		Settings: []string{"WebPubSubConnectionString=" + handlertest.ConnectionString, "WebPubSubAllowUserIdQuery=true"},
	})
	for path, want := range map[string]string{
		"/api/negotiate?userId=alice": `"accessToken"`,
		"/api/index":                  "<h1>Echo</h1>",
		"/api/index/look.js":          "export function connect",
		"/api/index/client.js":        "export class Client",
	} {
		r, err := http.NewRequest(http.MethodGet, host.URL()+path, nil)
		if status, _, body := fetch(t, r, err); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// Two function apps, each with one function and its program.
func TestPackageOfOneFunction(t *testing.T) {
	onLinux(t)
	root := functionshost.Unzip(t, pack(t, testPrograms+"/events"))
	host := functionshost.Start(t, functionshost.Options{Root: root, Settings: []string{"WebPubSubConnectionString=" + handlertest.ConnectionString}})
	r, err := http.NewRequest(http.MethodOptions, host.URL()+"/api/events", nil)
	r.Header.Set("WebHook-Request-Origin", handlertest.Origin)
	if status, _, body := fetch(t, r, err); status != http.StatusOK {
		t.Errorf("the preflight got %d %s", status, body)
	}
	r, err = http.NewRequest(http.MethodGet, host.URL()+"/api/negotiate?userId=alice", nil)
	if status, _, body := fetch(t, r, err); status != http.StatusNotFound {
		t.Errorf("negotiate got %d %s, want 404 from the host", status, body)
	}
}

// The bootstrap of a package handles recorded events of both fronts.
func TestPackageRunsOnLambda(t *testing.T) {
	onLinux(t)
	recorded := filepath.Join("hosting", "testdata")
	for _, tt := range []struct {
		event, body string
		header      map[string]string
	}{
		{"function_url_connect.json", `"everybody"`, nil},
		{"http_api_preflight.json", "", map[string]string{"Webhook-Allowed-Origin": "demo.webpubsub.azure.com"}},
		{"http_api_negotiate.json", `wss://demo.webpubsub.azure.com/client/hubs/chat`, nil},
	} {
		t.Run(tt.event, func(t *testing.T) {
			root := functionshost.Unzip(t, pack(t, "-target", "lambda", testPrograms))
			host := lambdahost.Start(t, filepath.Join(root, "bootstrap"),
				"WebPubSubConnectionString=Endpoint=https://demo.webpubsub.azure.com;AccessKey="+handlertest.AccessKey,
				"WebPubSubAllowUserIdQuery=true")
			event, err := os.ReadFile(filepath.Join(recorded, tt.event))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := host.Invoke(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				StatusCode int
				Headers    map[string]string
				Body       string
			}
			if err := json.Unmarshal(answer, &got); err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, tt.body) {
				t.Errorf("got %d %s, want 200 with %s\n%s", got.StatusCode, got.Body, tt.body, host.Stdout())
			}
			for name, want := range tt.header {
				if got.Headers[name] != want {
					t.Errorf("%s is %q, want %q", name, got.Headers[name], want)
				}
			}
		})
	}
}

func TestPackageFolder(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	dir := filepath.Join(t.TempDir(), "app")
	earlier := []functionapp.File{{Path: "host.json", Mode: 0o644, Data: []byte("{}")}, {Path: "other/function.json", Mode: 0o644, Data: []byte("{}")}}
	if _, err := writeFolder(dir, earlier); err != nil {
		t.Fatal(err)
	}
	if _, errOut, err := call(t, nil, "package", "-o", dir); err != nil {
		t.Fatalf("%v\n%s", err, errOut)
	}
	for _, older := range []bool{false, true} {
		if _, err := functionshost.Load(dir, older); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "other")); err == nil {
		t.Error("a function of the earlier package is left")
	}
	info, err := os.Stat(filepath.Join(dir, "bin", "functions"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o755 {
		t.Errorf("the program has the mode %v", info.Mode())
	}

	// What is not a package stays.
	kept := filepath.Join(dir, "go.mod")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := call(t, nil, "package", "-o", dir); err == nil || !strings.Contains(err.Error(), "go.mod") {
		t.Errorf("a folder with other files gave %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

func TestPackageErrors(t *testing.T) {
	const host = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"bin/functions"},
		"enableProxyingHttpRequest":true,"http":{"routes":[{"route":"negotiate"},{"route":"a/b"},{"route":"a/c"}]}}}`
	for _, tt := range []struct{ hostJSON, target, program, want string }{
		{"", targetFunctions, "./functions", "root of the repository"},
		{"{", targetFunctions, "./functions", "host.json:"},
		{strings.Replace(host, "bin/functions", "./bin/functions", 1), targetFunctions, "./functions", "without ./"},
		{strings.Replace(host, "bin/functions", "../functions", 1), targetFunctions, "./functions", "without ./"},
		{host, targetFunctions, "./functions/other", "begins with other"},
		{host, targetFunctions, "./functions", "two functions"},
		{host, "heroku", "./functions", "one of functions, lambda"},
		{host, targetLambda, "./nowhere", "go build ./nowhere for linux/arm64"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if tt.hostJSON != "" {
				if err := os.WriteFile("host.json", []byte(tt.hostJSON), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := call(t, nil, "package", "-target", tt.target, tt.program); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if _, err := os.Stat("dist"); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// A function.json of the repository's own and the routes of host.json exclude
// each other: the host responds to every request with 503, and its log blames a
// time-out.
func TestPackageRejectsRoutesAndFunctionJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	text := `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"bin/functions"},"http":{"routes":[{"route":"negotiate"}]}}}`
	if err := os.WriteFile("host.json", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("events", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("events", "function.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := call(t, nil, "package")
	if err == nil || !strings.Contains(err.Error(), "events/function.json") || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
}

// A program that is not executable is not started.
func TestPackageChecksItsZip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.zip")
	_, err := writeZip(file, []functionapp.File{{Path: "bootstrap", Mode: 0o644, Data: []byte("#!/bin/sh\n")}})
	if err == nil || !strings.Contains(err.Error(), "bootstrap is not executable (mode 0644)") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the zip was written")
	}
}
