package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/testlog"
)

// Whoever trusts the file that the command writes reaches the emulator.
func TestEmulatorOverTLS(t *testing.T) {
	log, file := &testlog.Buffer{}, filepath.Join(t.TempDir(), "ca.pem")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- dispatch(ctx, testEnv(log, log, nil), []string{"emulator", "-addr", "localhost:0", "-tls", file, "-allow-unverified-entra"})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}()
	ready := regexp.MustCompile(`Endpoint=(https://localhost:\d+);`)
	waitFor(t, func() bool { return ready.MatchString(log.String()) }, "the connection string")
	waitFor(t, func() bool { return strings.Contains(log.String(), "NODE_EXTRA_CA_CERTS="+file) }, "the hint")
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Head(ready.FindStringSubmatch(log.String())[1] + "/api/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

func TestSecurityFlagsExplainThemselves(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none", "ca.pem")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"works on the loopback interface only", []string{"emulator", "-addr", ":0", "-allow-unverified-entra"}},
		{"requires -tls", []string{"emulator", "-addr", "localhost:0", "-request-client-certificates"}},
		{"-tls: cannot write the certificate", []string{"emulator", "-addr", "localhost:0", "-tls", missing}},
	} {
		if _, _, err := call(t, nil, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt.args, err)
		}
	}
}

// With TLS the functions reach the emulator all the same.
func TestDevOverTLS(t *testing.T) {
	for _, flags := range [][]string{nil, {"-app", "../../internal/test/testapp/functions"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			if len(flags) > 0 && (testing.Short() || runtime.GOOS != "linux") {
				t.Skip("programs are not built in short mode, and SSL_CERT_FILE counts on Linux")
			}
			testDevOverTLS(t, flags)
		})
	}
}

func testDevOverTLS(t *testing.T, flags []string) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	page, connectionString, log := startDev(t, append(flags, "-tls", file)...)
	if !strings.HasPrefix(connectionString, "Endpoint=https://") {
		t.Error(connectionString)
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: pool}
	alice := joinOver(t, page, "alice", config)
	joinOver(t, page, "bob", config)
	// A join is announced by a REST call of the functions.
	alice.until("bob connected")
	if strings.Contains(log.String(), "refused") {
		t.Error(log.String())
	}
}

// The names on the command line replace those of the environment: roles once
// added to WEBPUBSUB_ROLE, so that a token had more rights than was asked for.
func TestListFlagsReplaceTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		args []string
		want []string
	}{
		{nil, nil, nil},
		{[]string{"WEBPUBSUB_ROLE=a"}, nil, []string{"a"}},
		{[]string{"WEBPUBSUB_ROLE=a"}, []string{"-role", "b", "-role", "c"}, []string{"b", "c"}},
		{nil, []string{"-role", "b", "-role", "c"}, []string{"b", "c"}},
	} {
		var roles list
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		fs.Var(&roles, "role", "")
		log := &testlog.Buffer{}
		if err := parse(testEnv(log, log, tt.env), fs, tt.args); err != nil || !slices.Equal(roles, tt.want) {
			t.Errorf("%v %v: got %q %v, want %q", tt.env, tt.args, roles, err, tt.want)
		}
	}
}

func TestAllowFlags(t *testing.T) {
	log := &testlog.Buffer{}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"emulator", "-addr", "localhost:0", "-allow-host", "a.example", "-allow-host", "http://b.example"}, `"http://b.example" is not a host name`},
		{[]string{"dev", "-addr", "localhost:0", "-functions-addr", "localhost:0", "-allow-origin", "https://a.example,b.example"}, `"b.example" is not an origin`},
	} {
		if err := dispatch(t.Context(), testEnv(log, log, nil), tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt.args, err)
		}
	}
}

// A program may have replaced http.DefaultTransport by a RoundTripper of its own.
func TestRecorderWithoutDefaultTransport(t *testing.T) {
	old := http.DefaultTransport
	defer func() { http.DefaultTransport = old }()
	http.DefaultTransport = http.NewFileTransport(http.Dir("."))
	newRecorder().base.CloseIdleConnections()
}
