//go:build linux

package image

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command returns the command of a container of the image: with its root file system
// and its user if the test is root, which may change both, and else only its program.
// env is in addition to that of the image, and takes precedence.
func (img *image) command(t *testing.T, env []string, words ...string) *exec.Cmd {
	t.Helper()
	uid, gid := img.ids(t)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(append([]string{}, img.env...), env...)
	if os.Getuid() == 0 {
		cmd.Path, cmd.Err, cmd.Dir = words[0], nil, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: img.root, Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	} else {
		cmd.Path, cmd.Err = img.root+words[0], nil
	}
	return cmd
}

// ids returns the user and the group of the image, which are numbers: the image has no
// list of names.
func (img *image) ids(t *testing.T) (uid, gid uint32) {
	t.Helper()
	u, g, _ := strings.Cut(img.user, ":")
	a, errA := strconv.ParseUint(u, 10, 32)
	b, errB := strconv.ParseUint(g, 10, 32)
	if errA != nil || errB != nil || a == 0 || b == 0 {
		t.Fatalf("user %q, want the numbers of one that is not root", img.user)
	}
	return uint32(a), uint32(b)
}

// addHosts adds the file by which an engine makes localhost known in a container.
func (img *image) addHosts(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(img.root, "etc", "hosts"), []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// output is what a process writes, while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
	// written receives after a write, for the one who waits.
	written chan struct{}
}

func newOutput() *output { return &output{written: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() {
		select {
		case o.written <- struct{}{}:
		default:
		}
	}()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// waitFor waits until the process has written the text, at most a minute.
func (o *output) waitFor(t *testing.T, text string) {
	t.Helper()
	tooLong := time.After(time.Minute)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.written:
		case <-tooLong:
			t.Fatalf("%q was not written:\n%s", text, o)
		}
	}
}

// start starts a process, which is stopped as an engine does it, by SIGTERM. It must
// then end in order.
func start(t *testing.T, cmd *exec.Cmd) *output {
	t.Helper()
	out := newOutput()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", cmd.Path, err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, out)
		}
	})
	return out
}

// nodeCommand runs a program of Node.js that needs its WebSocket: version 22 has it,
// version 20 behind an option.
func nodeCommand(node string, args []string) *exec.Cmd {
	return exec.Command(node, append([]string{"--experimental-websocket"}, args...)...)
}

// startClient starts a process that runs until it is killed.
func startClient(t *testing.T, cmd *exec.Cmd) *output {
	t.Helper()
	out := newOutput()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // the error says that it was killed
	})
	return out
}
