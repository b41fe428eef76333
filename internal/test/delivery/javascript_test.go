package delivery_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/tcpproxy"
	"example.com/webpubsub/internal/test/testtool"
)

// TestReliableDeliveryInJavaScript is a short run over TCP in which every other
// client is Microsoft's for JavaScript.
func TestReliableDeliveryInJavaScript(t *testing.T) {
	node := testtool.Need(t, "node")
	testtool.NPM(t, "../../../interop/node")
	srv := emulator.StartT(t, emulator.Options{})
	proxy := tcpproxy.Start(t, strings.TrimPrefix(srv.URL(), "http://"))
	r := newRun(t, firstSeed, srv.ConnectionString(), overTCP(proxy))
	r.steps = 20
	js := startJavaScript(t, r, node)
	r.foreign = func(name, url string) peer {
		return &jsClient{js: js, name: name, url: strings.Replace(url, strings.TrimPrefix(srv.URL(), "http://"), proxy.Addr(), 1)}
	}
	r.all()
}

// javaScript is a process with the JavaScript clients: one line of JSON for each
// call, one for each answer and for each message that arrives.
type javaScript struct {
	run   *run
	mu    sync.Mutex
	in    io.Writer
	calls map[int]chan error
	ids   map[string]string // connection ids by client
	next  int
	ended error
}

func startJavaScript(t *testing.T, r *run, node string) *javaScript {
	t.Helper()
	cmd := exec.Command(node, "chaos.js")
	cmd.Dir, cmd.Stderr = "../../../interop/node", os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	js := &javaScript{run: r, in: in, calls: make(map[int]chan error), ids: make(map[string]string)}
	var reader sync.WaitGroup
	reader.Go(func() { js.read(out) })
	t.Cleanup(func() {
		_ = in.Close()
		reader.Wait()
		_ = cmd.Wait()
	})
	return js
}

func (js *javaScript) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var l struct {
			ID                         int
			Error, Client, Group, Text string
			Connection, Lost           string
			Sequence                   uint64
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			js.run.t.Errorf("the JavaScript client wrote %q", lines.Text())
			continue
		}
		switch {
		case l.Lost != "":
			js.run.t.Errorf("%s lost its connection for good: %s", l.Client, l.Lost)
		case l.Text != "":
			js.run.recorder.Received(l.Client, l.Connection, l.Sequence, l.Group, l.Text)
		case l.Connection != "":
			js.mu.Lock()
			js.ids[l.Client] = l.Connection
			js.mu.Unlock()
		default:
			js.mu.Lock()
			answer := js.calls[l.ID]
			delete(js.calls, l.ID)
			js.mu.Unlock()
			if l.Error != "" {
				answer <- errors.New(l.Error)
			}
			close(answer)
		}
	}
	js.mu.Lock()
	defer js.mu.Unlock()
	js.ended = errors.New("the JavaScript process has ended")
	for _, answer := range js.calls {
		answer <- js.ended
	}
	clear(js.calls)
}

func (js *javaScript) call(ctx context.Context, what map[string]any) error {
	answer := make(chan error, 1)
	js.mu.Lock()
	if js.ended != nil {
		js.mu.Unlock()
		return js.ended
	}
	js.next++
	what["id"] = js.next
	js.calls[js.next] = answer
	b, err := json.Marshal(what)
	if err == nil {
		_, err = fmt.Fprintf(js.in, "%s\n", b)
	}
	js.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jsClient is one of the clients in the process.
type jsClient struct {
	js        *javaScript
	name, url string
}

func (c *jsClient) do(ctx context.Context, what, group, text string, noEcho bool) error {
	return c.js.call(ctx, map[string]any{"do": what, "client": c.name, "url": c.url, "group": group, "text": text, "noEcho": noEcho})
}

func (c *jsClient) Start(ctx context.Context) error { return c.do(ctx, "start", "", "", false) }
func (c *jsClient) Stop(ctx context.Context) error  { return c.do(ctx, "stop", "", "", false) }

func (c *jsClient) JoinGroup(ctx context.Context, group string) error {
	return c.do(ctx, "join", group, "", false)
}

func (c *jsClient) LeaveGroup(ctx context.Context, group string) error {
	return c.do(ctx, "leave", group, "", false)
}

func (c *jsClient) Publish(ctx context.Context, group, text string, noEcho bool) error {
	return c.do(ctx, "send", group, text, noEcho)
}

func (c *jsClient) ConnectionID() string {
	c.js.mu.Lock()
	defer c.js.mu.Unlock()
	return c.js.ids[c.name]
}
