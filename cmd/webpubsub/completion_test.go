package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	all := make([]string, 0, len(commands))
	for _, c := range commands {
		all = append(all, c.name)
	}
	for _, tt := range []struct {
		words string // those before, separated by blanks, then the one to complete
		want  []string
	}{
		{"", all},
		{"se", []string{"send"}},
		{"help li", []string{"listen"}},
		{"nosuch -", nil},
		{"completion ", []string{"bash", "zsh", "fish", "powershell"}},
		{"send -f", []string{"-file", "-filter"}},
		{"send --fi", []string{"--file", "--filter"}},
		{"send -type ", []string{"text", "json", "binary"}},
		{"send --type j", []string{"json"}},
		{"send -type=b", []string{"-type=binary"}},
		{"send -type = j", []string{"json"}}, // how bash splits -type=j
		{"send -type =", []string{"text", "json", "binary"}},
		{"send -type=json -o ", []string{"text", "json"}},
		{"send -file ", nil}, // the shell completes files
		{"send -v ", nil},    // a bool has no value
		{"send hello", nil},
		{"listen -protocol protobuf.", []string{"protobuf.reliable"}},
		{"package -t", []string{"-target"}},
		{"check -type ", []string{"text", "json", "binary"}},
		{"check -o j", []string{"json"}},
		{"check -connection-", []string{"-connection-string"}},
	} {
		words := strings.Split(tt.words, " ")
		last := len(words) - 1
		out, errOut, status := exit(t, "", nil, append([]string{"__complete", "=" + words[last]}, words[:last]...)...)
		var got []string
		for line := range strings.Lines(out) {
			candidate, _, _ := strings.Cut(line, "\t")
			got = append(got, candidate)
		}
		if status != 0 || errOut != "" || !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q; status %d, %s", tt.words, got, tt.want, status, errOut)
		}
	}
}

// The scripts are run by their shells, with this test binary as the command.
func TestCompletionScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "webpubsub")); err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct{ shell, script, want string }{
		{"bash", `source <(webpubsub completion bash)
			COMP_WORDS=(webpubsub send -type j) COMP_CWORD=3
			_webpubsub; echo "${COMPREPLY[@]}"
			COMP_WORDS=(webpubsub "") COMP_CWORD=1
			_webpubsub; echo "${COMPREPLY[0]}"`, "json\ndev\n"},
		{"fish", `source (webpubsub completion fish | psub)
			complete -C "webpubsub send -type j"; complete -C "webpubsub liste"`, "json\nlisten\tconnect a client and print received messages\n"},
		// Its completion needs a terminal, so only the calls of its script are run.
		{"zsh", `compdef() { functions[complete]=$functions[$1] }
			_describe() { print -l -- $found }
			source <(webpubsub completion zsh)
			words=(webpubsub send -type j) CURRENT=4
			complete`, "json:\n"},
	} {
		t.Run(tt.shell, func(t *testing.T) {
			shell, err := exec.LookPath(tt.shell)
			if err != nil {
				t.Skipf("%s is not installed", tt.shell)
			}
			cmd := exec.Command(shell, "-c", tt.script)
			cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir)
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != tt.want {
				t.Errorf("%v: got %q, want %q", err, out, tt.want)
			}
		})
	}
}
