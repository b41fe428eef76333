package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
)

// roles are what this program can be as a contender. A role calls ready once
// and then serves its input.
var roles = map[string]func(args []string) error{
	"handler-ours":      func([]string) error { return serve(oursHandler()) },
	"handler-ceiling":   func([]string) error { return serve(bareHandler()) },
	"handler-verifying": func([]string) error { return serve(verifying(bareHandler())) },
	"token-ours":        tokenOurs,
	"emulator":          emulatorRole,
	"hub-ceiling":       bareHubRole,
	"hub-centrifuge":    centrifugeRole,
	"hub-mochi":         mochiRole,
	"service-ours":      serviceOurs,
	"client-ours":       clientOurs,
	"client-ceiling":    clientCeiling,
}

func runRole(name string, args []string) {
	f, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: there is no role %q\n", name)
		os.Exit(2)
	}
	if err := f(args); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
		os.Exit(1)
	}
}

// serve answers HTTP on a free port until the parent lets go.
func serve(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	return commands(l.Addr().String(), nil)
}

// commands says that the role is ready, and answers each line of the parent
// with the JSON of what f returns for it. Every role knows "gc".
func commands(ready string, f func(line string) (any, error)) error {
	fmt.Println(ready)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var v any
		var err error
		if in.Text() == "gc" {
			debug.FreeOSMemory()
		} else if v, err = f(in.Text()); err != nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	}
	return in.Err()
}
