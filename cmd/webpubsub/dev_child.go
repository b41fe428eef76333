package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// childStart bounds the time from the start of a program to its first response.
	childStart = 30 * time.Second
	// childStop bounds the time from an interrupt to the end of a program.
	childStop = 5 * time.Second
)

// child is an application in a separate process. It is run as the Azure Functions
// host runs a custom handler, which listens on a given port of 127.0.0.1, and serves
// requests through a proxy.
type child struct {
	http.Handler
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid after ended
	dir   string
}

// childSettings returns the settings of an application for the emulator.
func childSettings(connectionString, hub, certificate string) []string {
	settings := []string{
		"WebPubSubConnectionString=" + connectionString,
		"WebPubSubHub=" + hub,
		"WebPubSubAllowUserIdQuery=true",
		"WebPubSubTrustPlatformAuth=false",
	}
	if certificate != "" {
		settings = append(settings, "SSL_CERT_FILE="+certificate)
	}
	return settings
}

// startChild builds the program if it is a Go package, starts it, and waits until
// it responds.
func startChild(ctx context.Context, e *env, program string, settings []string) (*child, error) {
	dir, err := os.MkdirTemp("", "webpubsub-dev")
	if err != nil {
		return nil, err
	}
	executable := program
	if info, statErr := os.Stat(program); statErr != nil || info.IsDir() || filepath.Ext(program) == ".go" {
		executable, err = buildChild(ctx, e, program, dir)
	}
	var c *child
	if err == nil {
		c, err = runChild(ctx, e, executable, settings)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("-app %s: %w", program, err), os.RemoveAll(dir))
	}
	c.dir = dir
	return c, nil
}

func buildChild(ctx context.Context, e *env, program, dir string) (string, error) {
	fmt.Fprintf(e.err, "building %s\n", program)
	file := filepath.Join(dir, "app.exe") // Windows requires the suffix; other systems ignore it
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, program)
	cmd.Stdout, cmd.Stderr = e.err, e.err
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build: %w", err)
	}
	return file, nil
}

// runChild starts the program and waits until it responds.
func runChild(ctx context.Context, e *env, executable string, settings []string) (*child, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	target := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	c := &child{ended: make(chan struct{}), Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				fmt.Fprintf(e.err, "%s %s: no response from the application: %v\n", r.Method, r.URL.Path, err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}}
	c.cmd = exec.Command(executable)
	c.cmd.Env = append(append(os.Environ(), settings...), "FUNCTIONS_CUSTOMHANDLER_PORT="+strconv.Itoa(port))
	c.cmd.Stdout, c.cmd.Stderr = e.err, e.err
	// An interrupt at the terminal is for this process, which then ends the child.
	c.cmd.SysProcAttr = ownProcessGroup()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	if err := c.ready(ctx, target); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// ready waits until the program responds to the probe of the Functions host.
func (c *child) ready(ctx context.Context, target *url.URL) error {
	ctx, cancel := context.WithTimeoutCause(ctx, childStart, fmt.Errorf("it does not listen on FUNCTIONS_CUSTOMHANDLER_PORT within %v: run it with hosting.Main", childStart))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String()+"/", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
			return resp.Body.Close()
		}
		select {
		case <-c.ended:
			return fmt.Errorf("it exited before it listened: %w", c.wait())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// wait returns the reason of the program's end.
func (c *child) wait() error {
	<-c.ended
	if c.err == nil {
		return errors.New("exit status 0")
	}
	return c.err
}

// stop ends the program and removes what was built.
func (c *child) stop() {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		_ = c.cmd.Process.Kill() // Windows has no interrupt
	}
	kill := time.AfterFunc(childStop, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	<-c.ended
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
