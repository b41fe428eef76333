package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"example.com/webpubsub/emulator"
)

// healthInterval is the delay between requests of a command that waits.
const healthInterval = 200 * time.Millisecond

// runHealth checks that an emulator, or a resource in Azure, responds.
func runHealth(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("health", flag.ContinueOnError)
	url := fs.String("url", "http://"+emulator.DefaultAddr, "`URL` of the emulator")
	file := fs.String("ready-file", "", "`file` that the emulator wrote with -ready-file, in place of -url")
	wait := fs.Duration("wait", 0, "wait this long until it responds")
	if err := parseFlags(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	if isSet(fs, "url") && isSet(fs, "ready-file") {
		return usagef("health: -url and -ready-file are mutually exclusive")
	}
	if isSet(fs, "url") {
		*file = ""
	}
	// No secret is sent, and the certificate of an emulator is its own.
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // #nosec G402
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, Timeout: 5 * time.Second}
	deadline := time.Now().Add(*wait)
	for {
		target, err := healthURL(*url, *file)
		if err == nil {
			err = askHealth(ctx, client, target)
		}
		if err == nil {
			_, err = fmt.Fprintln(e.out, strings.TrimSuffix(target, "/api/health"), "responds")
			return err
		}
		if errors.Is(err, errUsage) || time.Until(deadline) <= 0 {
			return err
		}
		select {
		case <-time.After(min(healthInterval, time.Until(deadline))):
		case <-ctx.Done():
			return err
		}
	}
}

func healthURL(url, file string) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("the emulator is not ready: %w", err)
		}
		var r readiness
		if err := json.Unmarshal(b, &r); err != nil || r.URL == "" {
			return "", usagef("%s was not written by -ready-file", file)
		}
		url = r.URL
	}
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return "", usagef("-url: %q must begin with http:// or https://", url)
	}
	return strings.TrimRight(url, "/") + "/api/health", nil
}

func askHealth(ctx context.Context, client *http.Client, target string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, target, nil)
	if err != nil {
		return usagef("-url: %w", err)
	}
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("no response: %w", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responds with %s: is this another program?", target, res.Status)
	}
	return nil
}
