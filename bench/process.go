package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a contender that runs as a program of its own. It prints one line
// when it is ready, answers each line on its standard input with one line, and
// ends when its standard input does.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
	pid   int
	ready string // what it said when it was ready: usually its address
}

// startRole runs a role of this program.
func startRole(ctx context.Context, role string, args ...string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if role == "emulator" && emulatorProgram != "" {
		program = emulatorProgram
	}
	return start(ctx, role, exec.CommandContext(ctx, program, append([]string{"-role", role}, args...)...))
}

// startNode runs a script of the folder node.
func startNode(ctx context.Context, script string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	cmd.Dir = nodeDir()
	return start(ctx, script, cmd)
}

func start(_ context.Context, name string, cmd *exec.Cmd) (*process, error) {
	if serverCore != "" {
		taskset, err := exec.LookPath("taskset")
		if err != nil {
			return nil, err
		}
		cmd.Path, cmd.Args = taskset, append([]string{"taskset", "-c", serverCore, cmd.Path}, cmd.Args[1:]...)
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, lines: bufio.NewReader(stdout), pid: cmd.Process.Pid}
	if p.ready, err = p.line(); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %w", name, err)
	}
	return p, nil
}

func (p *process) line() (string, error) {
	s, err := p.lines.ReadString('\n')
	return strings.TrimSpace(s), err
}

// ask sends a line and decodes the JSON answer into v, which may be nil.
func (p *process) ask(line string, v any) error {
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		return err
	}
	answer, err := p.line()
	if err != nil {
		return fmt.Errorf("no answer to %q: %w", line, err)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(answer), v); err != nil {
		return fmt.Errorf("answer to %q: %w: %s", line, err, answer)
	}
	return nil
}

func (p *process) stop() {
	_ = p.stdin.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	timer.Stop()
}

// cpu returns the CPU time that the process has used, user and system, of all
// its threads, in the kernel's ticks of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may contain anything; the fields after it are plain
	// (proc_pid_stat(5): utime is the 14th, stime the 15th).
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("/proc/<pid>/stat is too short")
	}
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// rss returns the resident memory in bytes.
func (p *process) rss() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(v)[0])
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc/<pid>/status")
}

// apart gives the servers of a row the first core and the load generator the
// others, so that neither has to wait for the other in the middle of an answer.
// It returns what undoes that. On one core, or without taskset(1) of util-linux,
// they share.
func apart() (restore func()) {
	n := runtime.NumCPU()
	if _, err := exec.LookPath("taskset"); err != nil || n < 2 {
		return func() {}
	}
	move := func(cores string, procs int) {
		_ = exec.Command("taskset", "-a", "-c", "-p", cores, strconv.Itoa(os.Getpid())).Run()
		runtime.GOMAXPROCS(procs)
	}
	move(fmt.Sprintf("1-%d", n-1), n-1)
	serverCore = "0"
	return func() {
		move(fmt.Sprintf("0-%d", n-1), n)
		serverCore = ""
	}
}

// serverCore is where new processes run; empty: anywhere.
var serverCore string

// ownCPU is the CPU time of this process to the microsecond.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// nodeDir is the folder of the JavaScript peers, below the working directory of
// "go run .".
func nodeDir() string { return "node" }

func prepareNode(ctx context.Context) error {
	if _, err := exec.LookPath("node"); err != nil {
		return errors.New("node is not installed: the JavaScript peers need it")
	}
	if _, err := os.Stat("go.mod"); err != nil {
		return errors.New("run this in the folder bench")
	}
	if _, err := os.Stat(filepath.Join(nodeDir(), "node_modules", ".package-lock.json")); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--silent")
	cmd.Dir, cmd.Stdout, cmd.Stderr = nodeDir(), os.Stderr, os.Stderr
	return cmd.Run()
}
