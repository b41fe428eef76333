package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// head writes what the figures depend on.
func head(b *strings.Builder, s settings) {
	b.WriteString("# Results\n\n")
	if s.quick {
		b.WriteString("**One short round: these figures show that the rows work, nothing else.**\n\n")
	}
	fmt.Fprintf(b, "Made on %s by `make bench` (%d rounds of %v for each contender, in turns). What is measured, and how: `go doc ./bench`.\n\n",
		time.Now().UTC().Format(time.DateOnly), s.rounds, s.duration)
	fmt.Fprintf(b, "- machine: %s, %d cores, %s of memory, %s\n", field("/proc/cpuinfo", "model name"), runtime.NumCPU(), field("/proc/meminfo", "MemTotal"), kernel())
	fmt.Fprintf(b, "- %s, node %s\n", runtime.Version(), output("node", "--version"))
	fmt.Fprintf(b, "- JavaScript packages: %s\n", output("node", "-p", `Object.entries(JSON.parse(require("fs").readFileSync("node/package.json")).dependencies).map(e => e.join(" ")).join(", ")`))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/centrifugal/centrifuge" || m.Path == "github.com/gorilla/websocket" {
				fmt.Fprintf(b, "- %s %s\n", m.Path, m.Version)
			}
		}
	}
	b.WriteString("\nA figure is the median of the rounds, with the least and the most. A target is a ratio of medians. Lost, doubled, reordered and wrong answers: none, or there would be no figure.\n")
}

func field(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return "unknown"
}

func kernel() string { return "Linux " + output("uname", "-r") }

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
