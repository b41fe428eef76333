package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub"
)

// callTimeout bounds a command of the interactive client.
const callTimeout = 30 * time.Second

const clientHelp = `Commands, one in each line:

  join <group>                    join a group
  leave <group>                   leave a group
  send [-json] <group> <message>  publish to a group
  event [-json] <name> [message]  send an event to the event handler
  invoke [-json] <name> [message] send an event and wait for the reply
  help                            print this list
  quit                            disconnect

A name that contains blanks is written in double quotes. The rest of the line is
the message.
`

// runClient connects a client that executes the commands of standard input.
func runClient(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("client", flag.ContinueOnError)
	var f clientFlags
	f.flags(fs)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `Usage: webpubsub client [flags] [url]

Connects a client that executes the commands on standard input and prints received
messages like webpubsub listen. The URL is a client access URL; if it is omitted, one
is generated. The exit status is 1 if a command has failed.

`+clientHelp+"\nFlags:\n")
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	s, err := f.connect(ctx, e, fs, webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleSendToAnyGroup)
	if err != nil || s == nil {
		return err
	}
	defer s.stop()
	s.status("type help for the commands")

	lines := make(chan string)
	done := make(chan struct{})
	defer close(done)
	go readLines(e.in, lines, done)
	failed := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.ended:
			return err
		case line, ok := <-lines:
			if !ok || strings.TrimSpace(line) == "quit" {
				if failed > 0 {
					return fmt.Errorf("%d commands failed", failed)
				}
				return nil
			}
			if err := s.execute(ctx, line); err != nil {
				failed++
				s.status("error: %v", err)
			}
		}
	}
}

// readLines sends the lines of r until it ends or done is closed.
func readLines(r io.Reader, lines chan<- string, done <-chan struct{}) {
	defer close(lines)
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxMessage+4096)
	for scanner.Scan() {
		select {
		case lines <- scanner.Text():
		case <-done:
			return
		}
	}
}

// execute carries out one command.
func (s *session) execute(ctx context.Context, line string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	verb, rest := word(line)
	kind := "text"
	if option, after := word(rest); option == "-json" {
		kind, rest = "json", after
	}
	switch verb {
	case "":
		return nil
	case "help":
		s.mu.Lock()
		defer s.mu.Unlock()
		_, err := io.WriteString(s.err, clientHelp)
		return err
	case "join", "leave", "send", "event", "invoke":
	default:
		return fmt.Errorf("unknown command %q: type help for the commands", verb)
	}
	name, text := word(rest)
	if name == "" {
		return fmt.Errorf("%s: the name is missing: type help for the commands", verb)
	}
	m, err := message(kind, []byte(text))
	if err != nil {
		return err
	}
	if verb == "invoke" && text == "" {
		m = webpubsub.Message{}
	}
	switch verb {
	case "join", "leave":
		if text != "" {
			return fmt.Errorf("%s takes one group: put a name with blanks in double quotes", verb)
		}
		if verb == "join" {
			err = s.JoinGroup(ctx, name, nil)
		} else {
			err = s.LeaveGroup(ctx, name, nil)
		}
	case "send":
		err = s.SendToGroup(ctx, name, m, nil)
	case "event":
		err = s.SendEvent(ctx, name, m, nil)
	case "invoke":
		reply, err := s.Invoke(ctx, name, m, nil)
		if err == nil {
			s.message(received{From: "reply", Event: name}, reply)
		}
		return err
	}
	if err == nil {
		s.status("%s %s: acknowledged", verb, name)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no acknowledgement within %v", callTimeout)
	}
	return err
}

// word returns the first word of a line, which may be in double quotes, and the
// rest without the blanks between them.
func word(line string) (first, rest string) {
	line = strings.TrimLeft(line, " \t")
	if quoted, err := strconv.QuotedPrefix(line); err == nil && quoted[0] == '"' {
		first, err = strconv.Unquote(quoted)
		if err == nil {
			return first, strings.TrimLeft(line[len(quoted):], " \t")
		}
	}
	first, rest, _ = strings.Cut(line, " ")
	return strings.TrimRight(first, "\r\t"), strings.TrimLeft(strings.TrimRight(rest, "\r"), " \t")
}
