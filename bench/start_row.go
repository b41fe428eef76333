package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"example.com/webpubsub/emulator"
)

var startRow = row{
	name: "start", title: "Start of the emulator, to its first answer",
	unit: "ms",
	contenders: []contender{
		{"in process", func(context.Context, settings) (sample, error) { return startInProcess() }},
		{"the command", startBinary},
	},
	targets: []target{
		{text: "ms in process", a: "in process", field: value, goal: 10, most: true},
		{text: "ms for the command", a: "the command", field: value, goal: 50, most: true},
	},
}

func startInProcess() (sample, error) {
	started := time.Now()
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		return sample{}, err
	}
	defer srv.Close()
	resp, err := http.Head(srv.URL() + "/api/health")
	took := time.Since(started)
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		return sample{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return sample{}, fmt.Errorf("answered %s", resp.Status)
	}
	return sample{value: took.Seconds() * 1000}, nil
}

// command builds the command once.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "webpubsub-bench-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "webpubsub")
	build := exec.Command("go", "build", "-o", bin, "./cmd/webpubsub")
	build.Dir = ".." // in its own module, with its own go.sum
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

func startBinary(ctx context.Context, _ settings) (sample, error) {
	bin, err := command()
	if err != nil {
		return sample{}, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return sample{}, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	cmd := exec.CommandContext(ctx, bin, "emulator", "-addr", addr)
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	defer http.DefaultClient.CloseIdleConnections()
	for time.Since(started) < 10*time.Second {
		resp, err := http.Head("http://" + addr + "/api/health")
		if err == nil {
			resp.Body.Close()
			return sample{value: time.Since(started).Seconds() * 1000}, nil
		}
		time.Sleep(200 * time.Microsecond)
	}
	return sample{}, errors.New("the command did not answer in ten seconds")
}
