package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// git runs commands in a folder.
type git struct {
	dir string
	env []string // in addition to the environment
}

// run returns the output without the final line break. An error has what git wrote
// to standard error.
func (g git) run(args ...string) (string, error) { return g.pipe("", args...) }

func (g git) pipe(stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = g.dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), g.env...) // messages are compared
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := strings.TrimRight(stdout.String(), "\n")
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("git is not installed")
	}
	if err != nil {
		return out, fmt.Errorf("git %s: %w\n%s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// ok reports whether the command succeeds.
func (g git) ok(args ...string) bool {
	_, err := g.run(args...)
	return err == nil
}

// short abbreviates a commit for messages.
func short(commit string) string { return commit[:min(len(commit), 10)] }
