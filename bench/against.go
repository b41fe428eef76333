package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// revision is an earlier commit of this repository, whose emulator takes part in the
// rows of the emulator.
type revision struct {
	name    string // short hash
	program string // this command, built from that commit
	dir     string // of the program
}

// buildRevision builds this command from a commit, in a worktree that is removed
// again. The role "emulator" of that command is the contender, so that both
// emulators are started alike and log nothing.
func buildRevision(ctx context.Context, commit string) (*revision, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", args...).Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(exit.Stderr)))
		}
		return strings.TrimSpace(string(out)), err
	}
	name, err := git("rev-parse", "--short", "--verify", "--end-of-options", commit+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("-against %s: %w", commit, err)
	}
	dir, err := os.MkdirTemp("", "webpubsub-bench")
	if err != nil {
		return nil, err
	}
	r := &revision{name: name, program: filepath.Join(dir, "bench"), dir: dir}
	tree := filepath.Join(dir, "tree")
	if _, err := git("worktree", "add", "--quiet", "--detach", tree, name); err != nil {
		r.remove()
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", r.program, ".")
	build.Dir, build.Stdout, build.Stderr = filepath.Join(tree, "bench"), os.Stderr, os.Stderr
	if err = build.Run(); err != nil {
		err = fmt.Errorf("-against %s: go build: %w", commit, err)
	}
	_, removed := git("worktree", "remove", "--force", tree)
	if err := errors.Join(err, removed); err != nil {
		r.remove()
		return nil, err
	}
	return r, nil
}

func (r *revision) remove() { _ = os.RemoveAll(r.dir) }

// emulatorProgram runs the role "emulator"; empty: this program does.
var emulatorProgram string

// run has the emulators that are started be those of the revision until the
// returned function is called.
func (r *revision) run() (restore func()) {
	emulatorProgram = r.program
	return func() { emulatorProgram = "" }
}

// cost is that of the growth in the revision.
func (r *revision) cost(ctx context.Context, s settings, g growth, factor int) (send, memory sample, err error) {
	defer r.run()()
	return g.cost(ctx, s, factor)
}

// withRevision returns the row with each of its contenders that is this emulator a
// second time, as it was in the revision, and what is to be compared: no figure may
// be worse by more than 5 per cent.
func (r row) withRevision(old *revision) row {
	if old == nil || !r.emulator {
		return r
	}
	var all []contender
	for _, c := range r.contenders {
		all = append(all, c)
		if strings.HasPrefix(c.name, "ceiling: ") || strings.HasPrefix(c.name, "peer: ") {
			continue
		}
		before := c.name + " in " + old.name
		all = append(all, contender{before, func(ctx context.Context, s settings) (sample, error) {
			defer old.run()()
			return c.measure(ctx, s)
		}})
		t := target{text: c.name + ", of " + old.name, a: c.name, b: before, field: value, goal: 0.95}
		if r.less {
			t.goal, t.most = 1.05, true
		}
		r.targets = append(r.targets[:len(r.targets):len(r.targets)], t)
	}
	r.contenders = all
	return r
}
