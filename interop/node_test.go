package interop_test

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/testtool"
)

// TestNode runs the official JavaScript packages as a browser app and its
// server use them.
func TestNode(t *testing.T) {
	node := testtool.Need(t, "node")
	testtool.NPM(t, "node")
	files, err := filepath.Glob("node/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files in node: %v", err)
	}
	b := start(t, nil)
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".test.js"), func(t *testing.T) {
			b.nodeTest(t, node, name)
		})
	}
}

// TestNodeExpress has the official Express middleware answer the emulator's
// events.
func TestNodeExpress(t *testing.T) {
	node := testtool.Need(t, "node")
	testtool.NPM(t, "node")
	url := startExpress(t, node)
	b := start(t, map[string]emulator.Hub{"express": {EventHandlers: []emulator.EventHandler{{
		URL:          url + "/api/webpubsub/hubs/{hub}/",
		UserEvents:   "*",
		SystemEvents: []string{"connect", "connected", "disconnected"},
	}}}})
	b.env = append(b.env, "EXPRESS_URL="+url)
	b.nodeTest(t, node, "express/express.test.js")
}

// nodeTest runs a test file. What a failed test leaves open does not keep node
// from ending.
func (b *backend) nodeTest(t *testing.T, node, file string) {
	t.Helper()
	b.run(t, "node", node, "--test", "--test-force-exit", "--test-reporter=spec", file)
}

// startExpress runs the Express server for the length of the test and returns
// its address.
func startExpress(t *testing.T, node string) string {
	t.Helper()
	cmd := exec.Command(node, "express/server.js")
	cmd.Dir = "node"
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the Express server did not start: %v", err)
	}
	return strings.TrimSpace(url)
}
