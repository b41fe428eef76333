package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// settings are what every row needs to know.
type settings struct {
	rounds   int
	duration time.Duration // of one measurement
	quick    bool
	against  *revision // or nil
}

// rows in the order in which they are run and printed.
var rows = []row{
	handlerEventRow, handlerConnectRow, inProcessRow, tokenRow,
	serviceRow(1), serviceRow(8), serviceRow(64),
	clientRow("client-echo", "WebSocket client: publish with ack and receive, 16 in flight", "", measureEcho),
	clientRow("client-receive", "WebSocket client: 50 clients receive, 200 messages per second each", receiveNote, measureReceive),
	fanoutRow("raw"), fanoutRow("json"), fanoutRow("json.reliable"), fanoutRow("protobuf"),
	restRow(1), restRow(20), crowdedRow, groupsRow, filterRow, joinRow, mqttRow,
	hostedRow, memoryRow, growthRow, startRow,
}

func main() {
	role := flag.String("role", "", "run as a contender (the command starts these itself)")
	only := flag.String("rows", "", "comma separated beginnings of row names; all by default")
	rounds := flag.Int("rounds", 5, "rounds, each of which runs every contender once")
	duration := flag.Duration("duration", 2*time.Second, "length of one measurement")
	quick := flag.Bool("quick", false, "one round of 300 ms: shows that the rows work, not how fast they are")
	against := flag.String("against", "", "commit whose emulator takes part in the rows of the emulator")
	out := flag.String("o", "", "file for the results, for example RESULTS.md; standard output by default")
	flag.Parse()
	if os.Getenv(asFunctions) != "" {
		functionApp()
		return
	}
	if *role != "" {
		runRole(*role, flag.Args())
		return
	}
	s := settings{rounds: *rounds, duration: *duration, quick: *quick}
	if s.quick {
		s.rounds, s.duration = 1, 300*time.Millisecond
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s, *only, *against, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, only, against, out string) error {
	chosen := rows
	if only != "" {
		chosen = nil
		for _, r := range rows {
			if slices.ContainsFunc(strings.Split(only, ","), func(p string) bool { return strings.HasPrefix(r.name, p) }) {
				chosen = append(chosen, r)
			}
		}
		if len(chosen) == 0 {
			return fmt.Errorf("no row begins with %q", only)
		}
	}
	if err := prepareNode(ctx); err != nil {
		return err
	}
	if against != "" {
		var err error
		if s.against, err = buildRevision(ctx, against); err != nil {
			return err
		}
		defer s.against.remove()
	}
	var doc strings.Builder
	head(&doc, s)
	for _, r := range chosen {
		started := time.Now()
		fmt.Fprintf(os.Stderr, "%s …\n", r.name)
		table, err := r.withRevision(s.against).measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s  (%v)\n", table, time.Since(started).Round(time.Second))
		doc.WriteString(table)
	}
	if out == "" {
		fmt.Print(doc.String())
		return nil
	}
	return os.WriteFile(out, []byte(doc.String()), 0o644)
}
