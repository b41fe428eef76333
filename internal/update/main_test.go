package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/testtool"
)

// repo is a repository of a test.
type repo struct {
	t *testing.T
	git
}

// newRepo makes a repository, whose git knows nothing of the settings of this machine.
func newRepo(t *testing.T) *repo {
	t.Helper()
	testtool.Installed(t, "git")
	for name, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull,
		"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
		"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
	} {
		t.Setenv(name, value)
	}
	r := &repo{t, git{dir: t.TempDir()}}
	r.do("init", "--quiet", "--initial-branch=main")
	return r
}

func (r *repo) do(args ...string) string {
	r.t.Helper()
	out, err := r.run(args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// commit writes the files, removes those without text, and returns the commit.
func (r *repo) commit(files map[string]string) string {
	r.t.Helper()
	for name, text := range files {
		file := filepath.Join(r.dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644))
		if text == "" {
			err = os.Remove(file)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.do("add", "--all")
	r.do("commit", "--quiet", "--message", "Change")
	return r.do("rev-parse", "HEAD")
}

// update runs the command.
func (r *repo) update(args ...string) (string, error) {
	var out strings.Builder
	err := run(append([]string{"-C", r.dir}, args...), &out, io.Discard)
	return out.String(), err
}

// updated runs the command, which must succeed and leave nothing uncommitted.
func (r *repo) updated(args ...string) string {
	r.t.Helper()
	out, err := r.update(args...)
	if err != nil {
		r.t.Fatal(err)
	}
	if status := r.do("status", "--porcelain"); status != "" {
		r.t.Fatalf("not committed: %s", status)
	}
	return out
}

// want compares files of the last commit; none is "".
func (r *repo) want(files map[string]string) {
	r.t.Helper()
	for name, want := range files {
		got, err := r.run("show", "HEAD:"+name)
		if err != nil {
			got = ""
		}
		if got != strings.TrimRight(want, "\n") {
			r.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// Upstream, and what the forks of the tests make of it.
const (
	lib    = "package lib\n\nimport (\n\t_ \"example.test/up/other\"\n)\n\nconst A = 1\n\nconst B = 2\n\nconst C = 3\n\nconst D = 4\n"
	module = "module example.test/up\n"
)

func renamed(text string) string {
	return strings.ReplaceAll(text, "example.test/up", "github.com/you/quiz")
}

func newUpstream(t *testing.T) *repo {
	t.Helper()
	up := newRepo(t)
	up.commit(map[string]string{"go.mod": module, "lib/lib.go": "package lib\n"})
	up.commit(map[string]string{"lib/lib.go": lib, "app/chat.go": "package app\n", "README.md": "Read me.\n"})
	return up
}

// newTemplateFork is a repository with one commit of the files of upstream, and one
// with another module path and another application.
func newTemplateFork(t *testing.T, up *repo) *repo {
	t.Helper()
	fork := newRepo(t)
	fork.commit(map[string]string{"go.mod": module, "lib/lib.go": lib, "app/chat.go": "package app\n", "README.md": "Read me.\n"})
	if fork.do("rev-parse", "HEAD^{tree}") != up.do("rev-parse", "HEAD^{tree}") {
		t.Fatal("the fork does not begin with the files of upstream")
	}
	fork.commit(map[string]string{
		"go.mod": renamed(module), "lib/lib.go": renamed(lib),
		"app/chat.go": "", "app/quiz.go": "package app // quiz\n",
	})
	return fork
}

// GitHub's "Use this template" makes a repository without the history of upstream.
// Its updates go on when pull requests are squashed.
func TestTemplateFork(t *testing.T) {
	up := newUpstream(t)
	fork := newTemplateFork(t, up)
	fork.commit(map[string]string{"lib/lib.go": strings.Replace(renamed(lib), "D = 4", "D = 5", 1)}) // a change of its own

	up.commit(map[string]string{
		"lib/lib.go": strings.Replace(lib, "A = 1", "A = 10", 1), "app/chat.go": "package app // better\n",
		"new/new.go": "package new\n\nimport _ \"example.test/up/lib\"\n",
	})
	head := up.commit(map[string]string{"README.md": "", "READ.md": "Read me.\n"})
	before := fork.do("rev-parse", "HEAD")
	out := fork.updated(up.dir)
	if !strings.Contains(out, "(commits: 2)") || !strings.Contains(out, "app was left as it is (.upstream)") {
		t.Errorf("output is %s", out)
	}
	fork.want(map[string]string{
		"go.mod":      renamed(module),
		"lib/lib.go":  strings.NewReplacer("A = 1", "A = 10", "D = 4", "D = 5").Replace(renamed(lib)),
		"new/new.go":  "package new\n\nimport _ \"github.com/you/quiz/lib\"\n",
		"app/quiz.go": "package app // quiz\n", "app/chat.go": "",
		"README.md": "", "READ.md": "Read me.\n",
		".upstream": recordHelp + "url " + up.dir + "\ncommit " + head + "\nkeep app\n",
	})
	if parents := fork.do("log", "-1", "--format=%P"); parents != before {
		t.Errorf("the parents of the update are %s, want %s", parents, before)
	}
	if out := fork.updated(); !strings.HasPrefix(out, "already up to date") {
		t.Errorf("output is %s", out)
	}

	fork.do("reset", "--quiet", "--soft", "HEAD~2") // as if squashed with a change before it
	fork.do("commit", "--quiet", "--message", "Squashed")
	head = up.commit(map[string]string{"lib/lib.go": strings.Replace(lib, "A = 1", "A = 100", 1)})
	if out := fork.updated(); !strings.Contains(out, "(commits: 1)") || strings.Contains(out, "left as it is") {
		t.Errorf("output is %s", out)
	}
	fork.want(map[string]string{
		"lib/lib.go": strings.NewReplacer("A = 1", "A = 100", "D = 4", "D = 5").Replace(renamed(lib)),
		".upstream":  recordHelp + "url " + up.dir + "\ncommit " + head + "\nkeep app\n",
	})
}

// A fork of git has the history of upstream, and its module need not be renamed. Upstream
// may take another module path.
func TestGitFork(t *testing.T) {
	up := newUpstream(t)
	fork := newRepo(t)
	fork.do("fetch", "--quiet", up.dir, "main")
	fork.do("reset", "--quiet", "--hard", "FETCH_HEAD")
	fork.commit(map[string]string{"own.txt": "own\n"})
	tag := up.commit(map[string]string{"app/chat.go": "package app // better\n"})
	up.do("tag", "v1.0.0")
	up.commit(map[string]string{"go.mod": "module real.test/x\n", "lib/lib.go": strings.ReplaceAll(lib, "example.test/up", "real.test/x") + "\nconst E = 5\n"})

	fork.updated(up.dir, "v1.0.0")
	fork.want(map[string]string{"app/chat.go": "package app // better\n", "own.txt": "own\n", ".upstream": recordHelp + "url " + up.dir + "\ncommit " + tag + "\n"})
	fork.updated()
	fork.want(map[string]string{"go.mod": module, "lib/lib.go": lib + "\nconst E = 5\n"})
	if _, err := fork.update(up.dir, "v1.0.0"); err == nil || !strings.Contains(err.Error(), "is older than") {
		t.Errorf("an update to an older commit: %v", err)
	}

	// What was merged by git counts.
	head := up.commit(map[string]string{"README.md": "Merged.\n"})
	fork.do("fetch", "--quiet", up.dir, "main")
	fork.do("merge", "--quiet", "--strategy=ours", "--no-edit", "FETCH_HEAD")
	if out := fork.updated(); !strings.HasPrefix(out, "already up to date with "+short(head)) {
		t.Errorf("output is %s", out)
	}
}

func TestConflict(t *testing.T) {
	up := newUpstream(t)
	fork := newTemplateFork(t, up)
	fork.commit(map[string]string{"README.md": "Our quiz.\n"})
	up.commit(map[string]string{"README.md": "Read me first.\n", "lib/lib.go": lib + "\nconst E = 5\n"})
	before := fork.do("rev-parse", "HEAD")

	_, err := fork.update(up.dir)
	if err == nil || !strings.Contains(err.Error(), "\n  README.md\n") || !strings.Contains(err.Error(), "git cherry-pick --abort") {
		t.Fatalf("error is %v", err)
	}
	if _, err := fork.update(); err == nil || !strings.Contains(err.Error(), "has not been finished") {
		t.Errorf("an update during another: %v", err)
	}
	fork.do("cherry-pick", "--abort")
	if got := fork.do("rev-parse", "HEAD"); got != before || fork.do("status", "--porcelain") != "" {
		t.Errorf("after the abort HEAD is %s, want %s", got, before)
	}
	fork.commit(map[string]string{".upstream": "keep README.md\n"})
	fork.updated(up.dir)
	fork.want(map[string]string{"README.md": "Our quiz.\n", "app/quiz.go": "package app // quiz\n", "lib/lib.go": renamed(lib) + "\nconst E = 5\n"})
}

// A first commit with changes does not show what it was made from.
func TestUnknownOrigin(t *testing.T) {
	up := newUpstream(t)
	origin := up.do("rev-parse", "HEAD")
	fork := newRepo(t)
	fork.commit(map[string]string{"go.mod": renamed(module), "lib/lib.go": renamed(lib), "app/quiz.go": "package app\n"})
	up.commit(map[string]string{"lib/lib.go": lib + "\nconst E = 5\n"})
	if _, err := fork.update(up.dir); err == nil || !strings.Contains(err.Error(), "-from") {
		t.Fatalf("error is %v", err)
	}
	if _, err := fork.update("-from", "0123456789", up.dir); err == nil || !strings.Contains(err.Error(), "upstream has no commit 0123456789") {
		t.Errorf("error is %v", err)
	}
	fork.updated("-from", origin, up.dir)
	fork.want(map[string]string{"lib/lib.go": renamed(lib) + "\nconst E = 5\n", "app/quiz.go": "package app\n"})
}

func TestRefusals(t *testing.T) {
	up := newUpstream(t)
	unchanged := newTemplateFork(t, up)
	for _, tt := range []struct {
		name, want string
		prepare    func(*repo)
		args       []string
	}{
		{name: "no URL", want: "give the URL"},
		{name: "no upstream", want: "cannot fetch HEAD of", args: []string{filepath.Join(t.TempDir(), "none")}},
		{name: "no branch", want: "cannot fetch other of", args: []string{up.dir, "other"}},
		{name: "password", want: "contains a user or password", args: []string{"https://ada:secret@example.test/up"}},
		{name: "option", want: "is not the URL", args: []string{"--", "--upload-pack=x"}},
		{name: "refspec", want: "is not a branch", args: []string{up.dir, "main:main"}},
		{name: "arguments", want: errUsage.Error(), args: []string{up.dir, "main", "x"}},
		{name: "flag", want: errUsage.Error(), args: []string{"-x"}},
		{name: "changes", want: "not committed", args: []string{up.dir}, prepare: func(r *repo) {
			if err := os.WriteFile(filepath.Join(r.dir, "README.md"), []byte("new\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "record", want: `line 2 is "keep ../x"`, args: []string{up.dir}, prepare: func(r *repo) {
			r.commit(map[string]string{".upstream": "commit 0123\nkeep ../x\n"})
		}},
		{name: "no such commit", want: "upstream has no commit 0123", args: []string{up.dir}, prepare: func(r *repo) {
			r.commit(map[string]string{".upstream": "commit 0123\n"})
		}},
		{name: "folder", want: "root of the repository", args: []string{up.dir}, prepare: func(r *repo) { r.dir = filepath.Join(r.dir, "lib") }},
		{name: "no commit", want: "has no commit", args: []string{up.dir}, prepare: func(r *repo) { *r = *newRepo(t) }},
		{name: "no repository", want: "not a git repository", args: []string{up.dir}, prepare: func(r *repo) { r.dir = t.TempDir() }},
		{name: "shallow", want: "git fetch --unshallow", args: []string{up.dir}, prepare: func(r *repo) {
			dir := t.TempDir()
			r.do("clone", "--quiet", "--depth=1", "file://"+r.dir, dir)
			r.dir = dir
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fork := unchanged
			if tt.prepare != nil {
				fork = newTemplateFork(t, up)
				tt.prepare(fork)
			}
			_, err := fork.update(tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}
