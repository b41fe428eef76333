// Package childprocess starts a program for a test and ends it with the test.
//
//	p := childprocess.Start(t, "/tmp/bin/functions", dir, "PORT=1234")
//	<-p.Done()
//	fmt.Println(p.ExitCode(), p.Stdout())
package childprocess

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Process is a running program.
type Process struct {
	cmd                 *exec.Cmd
	stdout, stderr, all output
	done                chan struct{}
}

// Start runs a program as [Run] does. A program that cannot be started fails the
// test. It is killed when the test ends.
func Start(tb testing.TB, path, dir string, settings ...string) *Process {
	tb.Helper()
	p, err := Run(path, dir, settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Kill)
	return p
}

// Run runs the program at path, in the folder dir, with the settings "name=value"
// as its environment. Of the test's own environment it gets only what programs
// need to run at all, so that a developer's settings cannot change a test. The
// caller must kill it.
func Run(path, dir string, settings ...string) (*Process, error) {
	return RunCommand([]string{path}, dir, settings...)
}

// RunCommand is Run for a program with arguments.
func RunCommand(command []string, dir string, settings ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout = io.MultiWriter(&p.stdout, &p.all)
	p.cmd.Stderr = io.MultiWriter(&p.stderr, &p.all)
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "SYSTEMROOT", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	p.cmd.Env = append(p.cmd.Env, settings...)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("childprocess: %w", err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code is kept
	}()
	return p, nil
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode returns the program's exit code, and -1 for a program that was
// killed or has not ended.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// PID returns the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(tb testing.TB, s os.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		tb.Errorf("childprocess: %v", err)
	}
}

// Kill ends the program as SIGKILL does and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// Stdout returns what the program has written to standard output.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns what the program has written to standard error.
func (p *Process) Stderr() string { return p.stderr.String() }

// WaitForLog waits until the program has written text to standard output or to
// standard error. It fails the test when the program ends first.
func (p *Process) WaitForLog(tb testing.TB, text string) {
	tb.Helper()
	if found := p.all.wait(text); found != nil {
		select {
		case <-found:
		case <-p.done:
			if !strings.Contains(p.all.String(), text) {
				tb.Fatalf("childprocess: the program ended with code %d before it logged %q\nstdout: %s\nstderr: %s",
					p.ExitCode(), text, p.Stdout(), p.Stderr())
			}
		}
	}
}

// output collects what is written, and wakes those who wait for a text in it.
type output struct {
	mu      sync.Mutex
	b       bytes.Buffer
	waiting map[string][]chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.b.Write(p)
	for text, found := range o.waiting {
		if bytes.Contains(o.b.Bytes(), []byte(text)) {
			for _, c := range found {
				close(c)
			}
			delete(o.waiting, text)
		}
	}
	return n, err
}

// wait returns a channel that is closed when text is there, or nil if it is.
func (o *output) wait(text string) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if bytes.Contains(o.b.Bytes(), []byte(text)) {
		return nil
	}
	if o.waiting == nil {
		o.waiting = make(map[string][]chan struct{})
	}
	c := make(chan struct{})
	o.waiting[text] = append(o.waiting[text], c)
	return c
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
