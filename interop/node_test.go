package interop_test

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/test/testtool"
)

// runNode runs the official JavaScript packages as a browser app and its server
// use them.
func runNode(t *testing.T, p *proof) {
	node := testtool.Need(t, "node")
	testtool.NPM(t, "node")
	b := start(t, map[string]emulator.HubSettings{"socketio": {EventHandlers: []emulator.EventHandler{{
		URL: "tunnel:///eventhandler/", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
	}}}})
	for _, suite := range []struct{ pkg, file string }{
		{jsService, "service.test.js"},
		{jsService, "delivery.test.js"},
		{jsClient, "client.test.js"},
		{jsClient, "events.test.js"},
		{jsClient, "recovery.test.js"},
		{jsClient, "streams.test.js"},
		{jsSocketIO, "socketio.test.js"},
	} {
		t.Run(suite.file, func(t *testing.T) { b.nodeTest(t, p, suite.pkg, node, "node", suite.file) })
	}
}

// runUpstreams has the emulator's events answered by the official Express
// middleware and by the Go handler that does the same, which pass the same tests
// and answer the same requests.
func runUpstreams(t *testing.T, p *proof) {
	node := testtool.Need(t, "node")
	testtool.NPM(t, "node")
	express := startExpress(t, node)
	goURL := startGoHandler(t, connstr.ConnectionString{Endpoint: "http://127.0.0.1", AccessKey: emulator.DefaultAccessKey}.String())
	for pkg, url := range map[string]string{jsExpress: express, goHandler: goURL} {
		t.Run(pkg, func(t *testing.T) {
			b := start(t, map[string]emulator.HubSettings{"express": {EventHandlers: []emulator.EventHandler{{
				URL:          url + "/api/webpubsub/hubs/{hub}/",
				UserEvents:   "*",
				SystemEvents: []string{"connect", "connected", "disconnected"},
				GroupEvents:  []string{"joined", "left"},
			}}}})
			b.env = append(b.env, "UPSTREAM_URL="+url)
			b.nodeTest(t, p, pkg, node, "node", "express/express.test.js")
		})
	}
	t.Run("same", func(t *testing.T) { compareUpstreams(t, p, express, goURL) })
}

// nodeTest runs a test file in a folder. What a failed test leaves open does not
// keep node from ending.
func (b *backend) nodeTest(t *testing.T, p *proof, pkg, node, dir, file string) {
	t.Helper()
	p.suite(t, b, pkg, dir, node, "--test", "--test-force-exit",
		"--test-reporter=spec", "--test-reporter-destination=stdout",
		"--test-reporter=../node/report.js", "--test-reporter-destination=stderr", file)
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
