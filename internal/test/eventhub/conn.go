package eventhub

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The descriptors of performatives, delivery states and sections that occur (OASIS,
// "AMQP 1.0", parts 2, 3 and 5).
const (
	codeOpen, codeBegin, codeAttach, codeFlow, codeTransfer, codeDisposition = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
	codeDetach, codeEnd, codeClose, codeError                                = 0x16, 0x17, 0x18, 0x1d
	codeAccepted, codeRejected                                               = 0x24, 0x25
	codeMechanisms, codeOutcome                                              = 0x40, 0x44
	codeAnnotations, codeProperties, codeApplicationProperties               = 0x72, 0x73, 0x74
	codeData, codeValue                                                      = 0x75, 0x77
)

const (
	frameAMQP, frameSASL = 0, 1
	maxFrame             = 1 << 20
)

// conn is one connection of a sender.
type conn struct {
	s *Server
	net.Conn
	r *bufio.Reader

	links map[uint32]*link // by handle
	// The link on which the answers of $cbs go, and how many have gone.
	answers  uint32
	answered uint32
}

// link is a link from which the peer receives.
type link struct {
	entity  string
	pending []byte // of a message in several frames
	id      uint32 // of that message's delivery
	format  uint32
}

func (c *conn) serve() error {
	if err := c.expect("AMQP\x03\x01\x00\x00"); err != nil {
		return err
	}
	if err := c.write(frameSASL, 0, described{codeMechanisms, []any{symbol("ANONYMOUS")}}, nil); err != nil {
		return err
	}
	if _, _, _, err := c.read(); err != nil {
		return err
	}
	if err := c.write(frameSASL, 0, described{codeOutcome, []any{uint8(0)}}, nil); err != nil {
		return err
	}
	if err := c.expect("AMQP\x00\x01\x00\x00"); err != nil {
		return err
	}
	for {
		channel, p, payload, err := c.read()
		if err != nil {
			return err
		}
		if err := c.handle(channel, p, payload); err != nil {
			return err
		}
	}
}

// expect reads the header of a protocol and answers it.
func (c *conn) expect(header string) error {
	got := make([]byte, len(header))
	if _, err := io.ReadFull(c.r, got); err != nil {
		return err
	}
	if string(got) != header {
		return fmt.Errorf("the header is %q, want %q", got, header)
	}
	_, err := io.WriteString(c.Conn, header)
	return err
}

func (c *conn) read() (channel uint16, p described, payload []byte, err error) {
	var head [8]byte
	for {
		if _, err = io.ReadFull(c.r, head[:]); err != nil {
			return
		}
		size, offset := binary.BigEndian.Uint32(head[:]), int(head[4])*4
		if size < 8 || size > maxFrame || offset < 8 {
			return 0, p, nil, fmt.Errorf("a frame of %d bytes", size)
		}
		body := make([]byte, size-8)
		if _, err = io.ReadFull(c.r, body); err != nil {
			return
		}
		if len(body) == 0 {
			continue // keep-alive
		}
		r := &reader{body[offset-8:]}
		v, err := r.value()
		if err != nil {
			return 0, p, nil, err
		}
		p, _ = v.(described)
		return binary.BigEndian.Uint16(head[6:]), p, r.b, nil
	}
}

func (c *conn) write(kind byte, channel uint16, p described, payload []byte) error {
	b := append(make([]byte, 4, 256), 2, kind, byte(channel>>8), byte(channel))
	b = append(encode(b, p), payload...)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	_, err := c.Conn.Write(b)
	return err
}

// field returns a field of a performative, or nil.
func field(p described, i int) any {
	list, _ := p.value.([]any)
	if i < len(list) {
		return list[i]
	}
	return nil
}

// address returns that of a source or a target.
func address(v any) string {
	d, _ := v.(described)
	s, _ := field(d, 0).(string)
	return s
}

func (c *conn) handle(channel uint16, p described, payload []byte) error {
	reply := func(code uint64, fields ...any) error {
		return c.write(frameAMQP, channel, described{code, fields}, nil)
	}
	handle, _ := field(p, 0).(uint32)
	switch p.code {
	case codeOpen:
		return reply(codeOpen, "peer", nil, uint32(maxFrame), uint16(100))
	case codeBegin:
		return reply(codeBegin, channel, uint32(0), uint32(1000), uint32(1000))
	case codeAttach:
		return c.attach(channel, p)
	case codeTransfer:
		l := c.links[handle]
		if l == nil {
			return fmt.Errorf("a transfer for the link %d, which is not attached", handle)
		}
		if id, ok := field(p, 1).(uint32); ok {
			l.id = id
		}
		if format, ok := field(p, 3).(uint32); ok {
			l.format = format
		}
		l.pending = append(l.pending, payload...)
		if more, _ := field(p, 5).(bool); more {
			return nil
		}
		data := l.pending
		l.pending = nil
		return c.message(channel, l, data)
	case codeDetach:
		return reply(codeDetach, handle, true)
	case codeEnd:
		return reply(codeEnd)
	case codeClose:
		return errors.Join(reply(codeClose), io.EOF)
	default: // flow and disposition: there is no need to look at them
		return nil
	}
}

// attach accepts a link. The sender's role says who sends on it.
func (c *conn) attach(channel uint16, p described) error {
	handle, _ := field(p, 1).(uint32)
	receiver, _ := field(p, 2).(bool)
	fields := []any{field(p, 0), handle, !receiver, field(p, 3), field(p, 4), field(p, 5), field(p, 6), nil, nil, nil, uint64(maxMessage)}
	if receiver {
		c.answers = handle
		fields[9] = uint32(0)
	} else {
		c.links[handle] = &link{entity: address(field(p, 6))}
	}
	for _, v := range []*any{&fields[5], &fields[6]} { // the addresses are enough
		if d, ok := (*v).(described); ok {
			*v = described{d.code, []any{field(d, 0)}}
		}
	}
	err := c.write(frameAMQP, channel, described{codeAttach, fields}, nil)
	if err == nil && !receiver {
		err = c.write(frameAMQP, channel, described{codeFlow, []any{uint32(0), uint32(1000), uint32(0), uint32(1000), handle, uint32(0), uint32(1000)}}, nil)
	}
	return err
}

// message takes a message that has arrived, and settles it.
func (c *conn) message(channel uint16, l *link, data []byte) error {
	sections, err := parse(data)
	if err != nil {
		return err
	}
	state := described{codeAccepted, []any{}}
	if l.entity == "$cbs" {
		status := int32(200)
		if !c.s.authorize(sections) {
			status = 401
		}
		if err := c.answer(channel, sections, status); err != nil {
			return err
		}
	} else if condition := c.s.received(l, sections); condition != "" {
		state = described{codeRejected, []any{described{codeError, []any{symbol(condition), "by the test"}}}}
	}
	return c.write(frameAMQP, channel, described{codeDisposition, []any{true, l.id, l.id, true, state}}, nil)
}

// answer answers a request to $cbs.
func (c *conn) answer(channel uint16, request sections, status int32) error {
	var b []byte
	b = encode(b, described{codeProperties, []any{nil, nil, nil, nil, nil, field(request.properties, 0)}})
	b = encode(b, described{codeApplicationProperties, map[any]any{"status-code": status, "status-description": "by the test"}})
	b = encode(b, described{codeValue, nil})
	id := c.answered
	c.answered++
	return c.write(frameAMQP, channel, described{codeTransfer, []any{c.answers, id, []byte{byte(id)}, uint32(0), true}}, b)
}
