package lambdahost

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/webpubsub/internal/test/childprocess"
	"example.com/webpubsub/internal/test/testtool"
)

// emulatorVersion is AWS's runtime interface emulator. Nothing of it is in this
// module: it is installed as a program.
const emulatorVersion = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie@v0.0.0-20261030222936-bef5c4ba774d"

// awsEmulator is AWS's runtime interface emulator.
type awsEmulator struct {
	process *childprocess.Process
	url     string
	client  *http.Client
}

// StartEmulator runs the program under AWS's runtime interface emulator, which is
// fetched if it is not there. An invocation may take AWS_LAMBDA_FUNCTION_TIMEOUT
// seconds, 300 by default. The emulator runs one invocation at a time, or with
// AWS_LAMBDA_MAX_CONCURRENCY, as Lambda Managed Instances do, several. Everything
// ends with the test.
func StartEmulator(tb testing.TB, program string, settings ...string) *Host {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("the emulator of AWS runs on Linux")
	}
	binary := testtool.Go(tb, emulatorVersion)
	invoke, runtimeAPI := freeAddr(tb), freeAddr(tb)
	process, err := childprocess.RunCommand(
		[]string{binary, "--runtime-interface-emulator-address", invoke, "--runtime-api-address", runtimeAPI, program},
		filepath.Dir(program), settings...)
	if err != nil {
		tb.Fatal(err)
	}
	// On SIGTERM it ends the function as well.
	kill := func() {
		process.Signal(tb, syscall.SIGTERM)
		select {
		case <-process.Done():
		case <-time.After(10 * time.Second):
			process.Kill()
			tb.Errorf("lambdahost: the emulator did not end: %s", process.Stdout())
		}
	}
	transport := &http.Transport{DisableKeepAlives: true}
	e := &awsEmulator{process, "http://" + invoke + "/2015-03-31/functions/function/invocations", &http.Client{Transport: transport}}
	e.waitUntilReady(tb, invoke)
	h := &Host{Process: process, platform: e}
	return h.serveURL(tb, kill)
}

// freeAddr returns an address on which nothing listens.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitUntilReady waits until the emulator listens.
func (e *awsEmulator) waitUntilReady(tb testing.TB, addr string) {
	tb.Helper()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-every.C:
		case <-e.process.Done():
			tb.Fatalf("lambdahost: the emulator ended: %s%s", e.process.Stdout(), e.process.Stderr())
		}
	}
}

func (e *awsEmulator) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(event))
	if err != nil {
		return nil, err
	}
	resp, err := e.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("lambdahost: the emulator responded with %d %s", resp.StatusCode, body)
	}
	if text := string(body); strings.HasPrefix(text, "Task timed out") {
		return nil, &FunctionError{Message: text, Type: "Sandbox.Timedout"}
	}
	failed := new(FunctionError)
	if err := json.Unmarshal(body, failed); err == nil && failed.Type != "" {
		return nil, failed
	}
	return body, nil
}
