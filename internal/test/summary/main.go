// Command summary runs "go test" and prints what it prints, and then how many tests
// were skipped, and why. "go test" itself reports skipped tests with -v only.
//
//	go run ./internal/test/summary ./...
//
// Its arguments are those of "go test", and so is its exit status.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"example.com/webpubsub/internal/test/testtool"
)

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	err = errors.Join(summarize(out, os.Stdout), cmd.Wait())
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
}

// event is a line of the output of "go test -json" (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// summarize writes to w what "go test" without -json would print for the events that
// it reads, and the number of skipped tests.
func summarize(r io.Reader, w io.Writer) error {
	output := make(map[[2]string][]string) // by package and test
	tools, other := 0, 0
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case errors.Is(err, io.EOF):
			if tools+other > 0 {
				_, err = fmt.Fprintf(w, "%d tests were skipped: %d need tools of other languages (%s=1 enables them), %d for other reasons (-v prints them)\n",
					tools+other, tools, testtool.RequireEnv, other)
				return err
			}
			return nil
		case err != nil:
			return err
		case json.Unmarshal(line, &e) != nil: // go test prints some errors as they are
			e = event{Action: "build-output", Output: string(line)}
		}
		key := [2]string{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			if strings.HasPrefix(e.Output, "=== ") {
				continue // RUN, PAUSE, CONT and NAME, which -json implies
			}
			output[key] = append(output[key], e.Output)
			continue
		case "fail":
			fmt.Fprint(w, strings.Join(output[key], ""))
		case "pass", "skip":
			text := output[key]
			switch {
			case e.Test == "" && len(text) > 0:
				fmt.Fprint(w, text[len(text)-1]) // "ok" or "no test files"
			case e.Action == "skip" && strings.Contains(strings.Join(text, ""), testtool.RequireEnv):
				tools++
			case e.Action == "skip" && e.Test != "":
				other++
			}
		default:
			continue
		}
		delete(output, key)
	}
}
