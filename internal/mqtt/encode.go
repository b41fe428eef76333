package mqtt

import (
	"encoding/binary"
	"strings"
)

// Append adds the packet, as it looks in the version, to b. A CONNECT packet
// is encoded in its own version. It does not check what [Version.Decode]
// checks. A text or field of more than 65,535 bytes is cut, since its length
// has two bytes, and what no text of MQTT can have is replaced in properties
// (section 1.5.4): most of them come from an application.
func (v Version) Append(b []byte, p Packet) []byte {
	flags, body := byte(0), make([]byte, 0, 64)
	switch p := p.(type) {
	case *Connect:
		body = appendConnect(body, p)
	case *Connack:
		body = append(body, bit(p.SessionPresent, 0), byte(p.Code))
		body = v.properties(body, p.Properties)
	case *Publish:
		flags = bit(p.Dup, 3) | p.QoS<<1 | bit(p.Retain, 0)
		body = make([]byte, 0, len(p.Topic)+len(p.Payload)+64)
		body = appendString(body, p.Topic)
		if p.QoS > 0 {
			body = binary.BigEndian.AppendUint16(body, p.PacketID)
		}
		body = append(v.properties(body, p.Properties), p.Payload...)
	case *Ack:
		if p.Kind == TypePubrel {
			flags = 2
		}
		body = binary.BigEndian.AppendUint16(body, p.PacketID)
		body = v.outcome(body, p.Code, p.Properties)
	case *Subscribe:
		flags = 2
		body = v.properties(binary.BigEndian.AppendUint16(body, p.PacketID), p.Properties)
		for _, f := range p.Filters {
			options := f.QoS
			if v == V5 {
				options |= bit(f.NoLocal, 2) | bit(f.RetainAsPublished, 3) | f.RetainHandling<<4
			}
			body = append(appendString(body, f.Topic), options)
		}
	case *Suback:
		body = v.properties(binary.BigEndian.AppendUint16(body, p.PacketID), p.Properties)
		for _, c := range p.Codes {
			if v != V5 && c > 2 {
				c = UnspecifiedError // the only failure that MQTT 3.1.1 knows
			}
			body = append(body, byte(c))
		}
	case *Unsubscribe:
		flags = 2
		body = v.properties(binary.BigEndian.AppendUint16(body, p.PacketID), p.Properties)
		for _, f := range p.Filters {
			body = appendString(body, f)
		}
	case *Unsuback:
		body = v.properties(binary.BigEndian.AppendUint16(body, p.PacketID), p.Properties)
		if v == V5 {
			for _, c := range p.Codes {
				body = append(body, byte(c))
			}
		}
	case *Disconnect:
		body = v.outcome(body, p.Code, p.Properties)
	case *Auth:
		body = v.outcome(body, p.Code, p.Properties)
	}
	b = append(b, byte(p.Type())<<4|flags)
	return append(appendVarint(b, uint32(len(body))), body...)
}

func appendConnect(b []byte, c *Connect) []byte {
	b = append(appendString(b, "MQTT"), byte(c.Version))
	flags := bit(c.CleanStart, 1) | bit(c.Username != nil, 7) | bit(c.Password != nil, 6)
	if w := c.Will; w != nil {
		flags |= 4 | w.QoS<<3 | bit(w.Retain, 5)
	}
	b = binary.BigEndian.AppendUint16(append(b, flags), c.KeepAlive)
	b = appendString(c.Version.properties(b, c.Properties), c.ClientID)
	if w := c.Will; w != nil {
		b = appendString(c.Version.properties(b, w.Properties), w.Topic)
		b = appendString(b, string(w.Payload))
	}
	if c.Username != nil {
		b = appendString(b, *c.Username)
	}
	if c.Password != nil {
		b = appendString(b, string(c.Password))
	}
	return b
}

func (v Version) properties(b []byte, p Properties) []byte {
	if v != V5 {
		return b
	}
	return appendProperties(b, p)
}

// outcome leaves out a code and properties that are the default.
func (v Version) outcome(b []byte, c Code, p Properties) []byte {
	if v != V5 || c == Success && len(p) == 0 {
		return b
	}
	b = append(b, byte(c))
	if len(p) == 0 {
		return b
	}
	return appendProperties(b, p)
}

func bit(set bool, n int) byte {
	if set {
		return 1 << n
	}
	return 0
}

func appendVarint(b []byte, n uint32) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func appendText(b []byte, s string) []byte {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
	if len(s) >= 1<<16 {
		s = strings.ToValidUTF8(s[:1<<16-1], "")
	}
	return appendString(b, s)
}

func appendString(b []byte, s string) []byte {
	s = s[:min(len(s), 1<<16-1)]
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
