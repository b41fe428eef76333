package delivery

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Ledger is the account of one run. Its methods may be called from several
// goroutines at once.
type Ledger struct {
	mu       sync.Mutex
	now      int // counts what happens; it orders calls and their answers
	messages map[string]*Message
	newest   map[string]int // the number of each sender's last message
	members  map[string]*member
	broken   []string
}

// Message is something that was sent.
type Message struct {
	sender, group  string
	number         int
	except         []string
	begun, ended   int
	taken, pending bool
}

// member is one receiver.
type member struct {
	stays     map[string][]*stay // by group
	sequences map[string]uint64  // by connection id
	received  map[string]int     // how often, by message
	excused   map[string]bool    // messages that were under way when it stopped
	order     map[string]int     // the newest number, by sender
}

// stay is a time in a group. Between asked and joined, and between leaving and
// left, nothing is certain.
type stay struct{ asked, joined, leaving, left int }

const never = math.MaxInt

// NewLedger returns an empty account.
func NewLedger() *Ledger {
	return &Ledger{messages: make(map[string]*Message), newest: make(map[string]int), members: make(map[string]*member)}
}

func (l *Ledger) tick() int {
	l.now++
	return l.now
}

func (l *Ledger) complain(format string, args ...any) {
	l.broken = append(l.broken, fmt.Sprintf(format, args...))
}

func (l *Ledger) member(name string) *member {
	m := l.members[name]
	if m == nil {
		m = &member{make(map[string][]*stay), make(map[string]uint64), make(map[string]int), make(map[string]bool), make(map[string]int)}
		l.members[name] = m
	}
	return m
}

// Send notes that sender is about to send its next message to the group, which
// nobody in except may get.
func (l *Ledger) Send(sender, group string, except ...string) *Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest[sender]++
	m := &Message{sender: sender, group: group, number: l.newest[sender], except: except, begun: l.tick(), ended: never, pending: true}
	l.messages[m.Text()] = m
	return m
}

// Sent notes the answer. A message that was refused or given up may arrive, but
// need not.
func (l *Ledger) Sent(m *Message, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.ended, m.taken, m.pending = l.tick(), err == nil, false
}

// Text is the payload that identifies the message.
func (m *Message) Text() string { return m.sender + " " + strconv.Itoa(m.number) }

// Joining notes that receiver is about to join; Joined that it was acknowledged.
func (l *Ledger) Joining(receiver, group string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.member(receiver)
	m.stays[group] = append(m.stays[group], &stay{asked: l.tick(), joined: never, leaving: never, left: never})
}

// Joined notes that the join was acknowledged.
func (l *Ledger) Joined(receiver, group string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.member(receiver).last(group); s != nil {
		s.joined = l.tick()
	}
}

// Leaving notes that receiver is about to leave.
func (l *Ledger) Leaving(receiver, group string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.member(receiver).last(group); s != nil && s.leaving == never {
		s.leaving = l.tick()
	}
}

// Left notes that the leave was acknowledged.
func (l *Ledger) Left(receiver, group string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.member(receiver).last(group); s != nil && s.left == never {
		s.left = l.tick()
	}
}

// Stopping notes that receiver is about to stop, which leaves all its groups.
// Who stops does not get what is under way to it; but what a sender said later
// has arrived, so an earlier message of that sender must have arrived too.
func (l *Ledger) Stopping(receiver string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, now := l.member(receiver), l.tick()
	for group := range m.stays {
		if s := m.last(group); s.leaving == never {
			s.leaving = now
		}
	}
	for text, sent := range l.messages {
		if m.received[text] == 0 && sent.number > m.order[sent.sender] {
			m.excused[text] = true
		}
	}
}

// Stopped notes that the client has stopped.
func (l *Ledger) Stopped(receiver string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, now := l.member(receiver), l.tick()
	for group := range m.stays {
		if s := m.last(group); s.left == never {
			s.left = now
		}
	}
}

func (m *member) last(group string) *stay {
	all := m.stays[group]
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// Received notes a message that arrived.
func (l *Ledger) Received(receiver, connectionID string, sequence uint64, group, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.member(receiver)
	if last := m.sequences[connectionID]; sequence <= last {
		l.complain("%s got sequence id %d after %d on connection %s", receiver, sequence, last, connectionID)
	}
	m.sequences[connectionID] = sequence
	sent := l.messages[text]
	if sent == nil || sent.group != group {
		l.complain("%s got %q in group %s, which nobody sent there", receiver, text, group)
		return
	}
	if m.received[text]++; m.received[text] > 1 {
		l.complain("%s got %q %d times", receiver, text, m.received[text])
		return
	}
	if last := m.order[sent.sender]; sent.number < last {
		l.complain("%s got %q after number %d of that sender", receiver, text, last)
	}
	m.order[sent.sender] = sent.number
	if slices.Contains(sent.except, receiver) {
		l.complain("%s got %q, which excluded it", receiver, text)
	}
	if !slices.ContainsFunc(m.stays[group], func(s *stay) bool { return sent.begun < s.left && s.asked < sent.ended }) {
		l.complain("%s got %q, which was sent when it was not in group %s", receiver, text, group)
	}
}

// missing returns what must arrive and has not, as far as it is known now.
func (l *Ledger) missing() []string {
	var out []string
	for name, m := range l.members {
		for text, sent := range l.messages {
			if !sent.taken || m.received[text] > 0 || m.excused[text] || slices.Contains(sent.except, name) {
				continue
			}
			if slices.ContainsFunc(m.stays[sent.group], func(s *stay) bool { return s.joined < sent.begun && sent.ended < s.leaving }) {
				out = append(out, fmt.Sprintf("%s never got %q of group %s", name, text, sent.group))
			}
		}
	}
	slices.Sort(out)
	return out
}

// Settled reports whether every call has its answer and nothing is missing any
// more.
func (l *Ledger) Settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.messages {
		if m.pending {
			return false
		}
	}
	return len(l.missing()) == 0
}

// Check returns the promises that were broken. Call it when the run has come to
// rest.
func (l *Ledger) Check() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(slices.Clone(l.broken), l.missing()...)
}

// String says how much was checked.
func (l *Ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	received := 0
	for _, m := range l.members {
		for _, n := range m.received {
			received += n
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d messages sent, %d received by %d members", len(l.messages), received, len(l.members))
	return b.String()
}
