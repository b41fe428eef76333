package delivery

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Recorder records one run. Its methods are safe for concurrent use.
type Recorder struct {
	mu         sync.Mutex
	now        int // counts events, to order calls and their results
	messages   map[string]*Message
	newest     map[string]int // number of the last message, by sender
	members    map[string]*member
	violations []string
}

// Message is a message of a run.
type Message struct {
	sender, group  string
	number         int
	except         []string
	begun, ended   int
	taken, pending bool
}

// member is a receiver.
type member struct {
	memberships map[string][]*membership // by group
	sequences   map[string]uint64        // by connection id
	received    map[string]int           // number of times, by message
	exempt      map[string]bool          // messages in transit when it stopped
	order       map[string]int           // the newest number, by sender
}

// membership is a period in a group. Between asked and joined, and between leaving and
// left, messages may or may not be delivered.
type membership struct{ asked, joined, leaving, left int }

const never = math.MaxInt

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{messages: make(map[string]*Message), newest: make(map[string]int), members: make(map[string]*member)}
}

func (r *Recorder) tick() int {
	r.now++
	return r.now
}

func (r *Recorder) violationf(format string, args ...any) {
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

func (r *Recorder) member(name string) *member {
	m := r.members[name]
	if m == nil {
		m = &member{make(map[string][]*membership), make(map[string]uint64), make(map[string]int), make(map[string]bool), make(map[string]int)}
		r.members[name] = m
	}
	return m
}

// Send records that sender is about to send its next message to the group. It must not
// be delivered to the members in except.
func (r *Recorder) Send(sender, group string, except ...string) *Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest[sender]++
	m := &Message{sender: sender, group: group, number: r.newest[sender], except: except, begun: r.tick(), ended: never, pending: true}
	r.messages[m.Text()] = m
	return m
}

// Sent records the result of sending a message. If there was an error, the message may
// or may not be delivered.
func (r *Recorder) Sent(m *Message, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.ended, m.taken, m.pending = r.tick(), err == nil, false
}

// Text returns the payload that identifies the message.
func (m *Message) Text() string { return m.sender + " " + strconv.Itoa(m.number) }

// Joining records that receiver is about to join.
func (r *Recorder) Joining(receiver, group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.member(receiver)
	m.memberships[group] = append(m.memberships[group], &membership{asked: r.tick(), joined: never, leaving: never, left: never})
}

// Joined records that the join was acknowledged.
func (r *Recorder) Joined(receiver, group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.member(receiver).last(group); s != nil {
		s.joined = r.tick()
	}
}

// Leaving records that receiver is about to leave.
func (r *Recorder) Leaving(receiver, group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.member(receiver).last(group); s != nil && s.leaving == never {
		s.leaving = r.tick()
	}
}

// Left records that the leave was acknowledged.
func (r *Recorder) Left(receiver, group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.member(receiver).last(group); s != nil && s.left == never {
		s.left = r.tick()
	}
}

// Stopping records that receiver is about to stop, which leaves all its groups. Messages
// in transit need not be delivered, except those before one of the same sender that
// has been delivered.
func (r *Recorder) Stopping(receiver string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, now := r.member(receiver), r.tick()
	for group := range m.memberships {
		if s := m.last(group); s.leaving == never {
			s.leaving = now
		}
	}
	for text, sent := range r.messages {
		if m.received[text] == 0 && sent.number > m.order[sent.sender] {
			m.exempt[text] = true
		}
	}
}

// Stopped records that the client has stopped.
func (r *Recorder) Stopped(receiver string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, now := r.member(receiver), r.tick()
	for group := range m.memberships {
		if s := m.last(group); s.left == never {
			s.left = now
		}
	}
}

func (m *member) last(group string) *membership {
	all := m.memberships[group]
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// Received records that a message was delivered.
func (r *Recorder) Received(receiver, connectionID string, sequence uint64, group, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.member(receiver)
	if last := m.sequences[connectionID]; sequence <= last {
		r.violationf("%s got sequence id %d after %d on connection %s", receiver, sequence, last, connectionID)
	}
	m.sequences[connectionID] = sequence
	sent := r.messages[text]
	if sent == nil || sent.group != group {
		r.violationf("%s got %q in group %s, which was not sent there", receiver, text, group)
		return
	}
	if m.received[text]++; m.received[text] > 1 {
		r.violationf("%s got %q %d times", receiver, text, m.received[text])
		return
	}
	if last := m.order[sent.sender]; sent.number < last {
		r.violationf("%s got %q after number %d of that sender", receiver, text, last)
	}
	m.order[sent.sender] = sent.number
	if slices.Contains(sent.except, receiver) {
		r.violationf("%s got %q, which excluded it", receiver, text)
	}
	if !slices.ContainsFunc(m.memberships[group], func(s *membership) bool { return sent.begun < s.left && s.asked < sent.ended }) {
		r.violationf("%s got %q, which was sent when it was not in group %s", receiver, text, group)
	}
}

// missing returns a violation for each message that should have been delivered by now.
func (r *Recorder) missing() []string {
	var out []string
	for name, m := range r.members {
		for text, sent := range r.messages {
			if !sent.taken || m.received[text] > 0 || m.exempt[text] || slices.Contains(sent.except, name) {
				continue
			}
			if slices.ContainsFunc(m.memberships[sent.group], func(s *membership) bool { return s.joined < sent.begun && sent.ended < s.leaving }) {
				out = append(out, fmt.Sprintf("%s never got %q of group %s", name, text, sent.group))
			}
		}
	}
	slices.Sort(out)
	return out
}

// Settled reports whether every call has returned and no message is missing.
func (r *Recorder) Settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if m.pending {
			return false
		}
	}
	return len(r.missing()) == 0
}

// Check returns the violations. Call it when the run has ended.
func (r *Recorder) Check() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(slices.Clone(r.violations), r.missing()...)
}

// String returns the numbers of messages and members.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	received := 0
	for _, m := range r.members {
		for _, n := range m.received {
			received += n
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d messages sent, %d received by %d members", len(r.messages), received, len(r.members))
	return b.String()
}
