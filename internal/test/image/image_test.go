//go:build linux

package image

import (
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/testtool"
)

// maxSize is that of an image in bytes, before compression.
const maxSize = 22_000_000

func buildImages(t *testing.T) map[string]*image {
	t.Helper()
	testtool.Need(t, "sh") // builds the programs, which takes a while
	return build(t, "v1.2.3")
}

func TestImages(t *testing.T) {
	images := buildImages(t)
	if got := slices.Sorted(maps.Keys(images)); !slices.Equal(got, []string{"", "functions"}) {
		t.Fatalf("images %q", got)
	}
	for name, program := range map[string]string{"": "webpubsub", "functions": "functions"} {
		files, size := content(t, images[name].root)
		if want := []string{"etc/ssl/certs/ca-certificates.crt", program}; !slices.Equal(files, want) {
			t.Errorf("%s: files %q, want %q", program, files, want)
		}
		t.Logf("%s: %d bytes", program, size)
		if size > maxSize {
			t.Errorf("%s: %d bytes, want at most %d", program, size, maxSize)
		}
	}
}

// content returns the files of a folder, and their size.
func content(t *testing.T, root string) (files []string, size int64) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files, size = append(files, name), size+info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, size
}

func TestEmulatorImage(t *testing.T) {
	img := buildImages(t)[""]
	if os.Getuid() != 0 {
		t.Log("not root: the program runs outside of its root file system")
	}
	run := func(env []string, words ...string) (string, error) {
		out, err := img.command(t, env, words...).CombinedOutput()
		return string(out), err
	}
	if out, err := run(nil, img.entrypoint[0], "--version"); err != nil || !strings.HasPrefix(out, "webpubsub v1.2.3 ") {
		t.Errorf("version: %q, %v", out, err)
	}
	port := functionshost.FreePort(t)
	env := []string{
		"WEBPUBSUB_ADDR=0.0.0.0:" + port, "WEBPUBSUB_URL=http://127.0.0.1:" + port,
		"WEBPUBSUB_PUBLIC_URL=http://webpubsub.test:9000",
	}
	if out, err := run(env, img.healthcheck...); err == nil {
		t.Errorf("it is healthy before it runs: %s", out)
	}
	start(t, img.command(t, env, slices.Concat(img.entrypoint, img.cmd)...))
	if out, err := run(env, append(img.healthcheck, "-wait", "30s")...); err != nil {
		t.Fatalf("health: %v\n%s", err, out)
	}

	// The port may be open to the network, so names and pages of others are rejected.
	for host, ok := range map[string]bool{"localhost:" + port: true, "127.0.0.1": true, "webpubsub.test:9000": true, "evil.test": false} {
		if got := status(t, port, host, ""); (got != http.StatusForbidden) != ok {
			t.Errorf("host %s: status %d", host, got)
		}
	}
	for origin, ok := range map[string]bool{"http://localhost:3000": true, "http://webpubsub.test:9000": true, "https://evil.test": false} {
		if got := status(t, port, "localhost", origin); (got != http.StatusForbidden) != ok {
			t.Errorf("origin %s: status %d", origin, got)
		}
	}
}

// status requests a WebSocket, without a token.
func status(t *testing.T, port, host, origin string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/client/hubs/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Close = true
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": origin,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
