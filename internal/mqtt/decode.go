package mqtt

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Decode reads the packet with the first byte of its fixed header and all that
// comes behind the remaining length. The version of a CONNECT packet is its
// own. The error is an [*Error].
func (v Version) Decode(first byte, body []byte) (Packet, error) {
	d := decoder{b: body}
	p := d.packet(v, Type(first>>4), first&0x0f)
	if d.err == nil && len(d.b) > 0 {
		d.fail(malformed("the packet is longer than its content"))
	}
	if d.err != nil {
		return nil, d.err
	}
	return p, nil
}

func (d *decoder) packet(v Version, t Type, flags byte) Packet {
	// The flags mean something in PUBLISH only (section 2.1.3).
	want := byte(0)
	if t == TypePubrel || t == TypeSubscribe || t == TypeUnsubscribe {
		want = 2
	}
	if t != TypePublish && flags != want {
		d.fail(malformed(fmt.Sprintf("the flags of %v must be %d", t, want)))
		return nil
	}
	switch t {
	case TypeConnect:
		return d.connect()
	case TypeConnack:
		flags := d.byte()
		if flags > 1 {
			d.fail(malformed("reserved flags of CONNACK are set"))
		}
		return &Connack{SessionPresent: flags == 1, Code: d.code(v, t), Properties: d.propertiesOf(v, t)}
	case TypePublish:
		return d.publish(v, flags)
	case TypePuback, TypePubrec, TypePubrel, TypePubcomp:
		a := &Ack{Kind: t, PacketID: d.packetID()}
		a.Code, a.Properties = d.outcome(v, t)
		return a
	case TypeSubscribe:
		return d.subscribe(v)
	case TypeSuback:
		return &Suback{PacketID: d.packetID(), Properties: d.propertiesOf(v, t), Codes: d.codes(v, t)}
	case TypeUnsubscribe:
		u := &Unsubscribe{PacketID: d.packetID(), Properties: d.propertiesOf(v, t)}
		for d.err == nil && len(d.b) > 0 {
			u.Filters = append(u.Filters, d.string())
		}
		if len(u.Filters) == 0 {
			d.fail(violation("UNSUBSCRIBE names no topic filter"))
		}
		return u
	case TypeUnsuback:
		u := &Unsuback{PacketID: d.packetID(), Properties: d.propertiesOf(v, t)}
		if v == V5 {
			u.Codes = d.codes(v, t)
		}
		return u
	case TypePingreq, TypePingresp:
		return Ping{t}
	case TypeDisconnect:
		p := &Disconnect{}
		p.Code, p.Properties = d.outcome(v, t)
		return p
	case TypeAuth:
		if v != V5 {
			break
		}
		p := &Auth{}
		p.Code, p.Properties = d.outcome(v, t)
		return p
	}
	d.fail(malformed(fmt.Sprintf("there is no packet of type %d", t)))
	return nil
}

func (d *decoder) connect() Packet {
	name, version := d.string(), Version(d.byte())
	c := &Connect{Version: version}
	switch {
	case d.err != nil:
		return nil
	case name != "MQTT" || version != V311 && version != V5:
		d.fail(&Error{UnsupportedProtocolVersion, fmt.Sprintf("protocol %q of level %d is unknown: use MQTT 3.1.1 (level 4) or 5.0 (level 5)", name, version)})
		return nil
	}
	flags := d.byte()
	c.CleanStart = flags&0x02 != 0
	c.KeepAlive = d.uint16()
	c.Properties = d.propertiesOf(version, TypeConnect)
	c.ClientID = d.string()
	if flags&0x04 != 0 {
		w := &Will{QoS: flags >> 3 & 3, Retain: flags&0x20 != 0}
		w.Properties = d.propertiesOf(version, inWill)
		w.Topic, w.Payload = d.string(), d.bytes()
		d.checkResponseTopic(w.Properties)
		c.Will = w
	}
	if flags&0x80 != 0 {
		s := d.string()
		c.Username = &s
	}
	if flags&0x40 != 0 {
		c.Password = d.bytes()
	}
	_, method := c.Properties.Data(AuthenticationMethod)
	_, data := c.Properties.Data(AuthenticationData)
	switch {
	case data && !method:
		d.fail(violation("authentication data needs an authentication method (section 3.1.2.11.10)"))
	case flags&0x01 != 0:
		d.fail(malformed("the reserved flag of CONNECT is set"))
	case flags&0x18 == 0x18:
		d.fail(malformed("a will has QoS 3"))
	case flags&0x04 == 0 && flags&0x38 != 0:
		d.fail(malformed("CONNECT has flags of a will and no will"))
	case version == V311 && flags&0xc0 == 0x40:
		d.fail(malformed("MQTT 3.1.1 has no password without a user name"))
	}
	return c
}

func (d *decoder) publish(v Version, flags byte) Packet {
	p := &Publish{Dup: flags&8 != 0, QoS: flags >> 1 & 3, Retain: flags&1 != 0}
	p.Topic = d.string()
	switch {
	case p.QoS == 3:
		d.fail(malformed("PUBLISH has QoS 3"))
	case p.QoS == 0 && p.Dup:
		d.fail(malformed("PUBLISH with QoS 0 cannot be a duplicate"))
	case p.QoS > 0:
		p.PacketID = d.packetID()
	}
	p.Properties = d.propertiesOf(v, TypePublish)
	d.checkResponseTopic(p.Properties)
	p.Payload = d.b
	d.b = nil
	_, alias := p.Properties.Int(TopicAlias)
	switch {
	case p.Topic == "" && !alias:
		d.fail(violation("PUBLISH names no topic"))
	case strings.ContainsAny(p.Topic, "+#"):
		d.fail(&Error{TopicNameInvalid, "a topic name has no wildcards"})
	}
	return p
}

func (d *decoder) subscribe(v Version) Packet {
	s := &Subscribe{PacketID: d.packetID(), Properties: d.propertiesOf(v, TypeSubscribe)}
	for d.err == nil && len(d.b) > 0 {
		f := Filter{Topic: d.string()}
		o := d.byte()
		f.QoS, f.NoLocal, f.RetainAsPublished, f.RetainHandling = o&3, o&4 != 0, o&8 != 0, o>>4&3
		switch {
		case o&0xc0 != 0, v == V311 && o > 2:
			d.fail(malformed(fmt.Sprintf("reserved bits of the subscription options 0x%02x are set", o)))
		case f.QoS == 3:
			d.fail(violation("a subscription has QoS 3 (section 3.8.3.1)"))
		case f.RetainHandling == 3:
			d.fail(violation("the retain handling of a subscription is 3 (section 3.8.3.1)"))
		case f.NoLocal && strings.HasPrefix(f.Topic, "$share/"):
			d.fail(violation("a shared subscription has the option No Local (section 3.8.3.1)"))
		}
		s.Filters = append(s.Filters, f)
	}
	if len(s.Filters) == 0 {
		d.fail(violation("SUBSCRIBE names no topic filter"))
	}
	return s
}

// outcome reads a reason code and properties. Both may be left out: then the
// code is 0. MQTT 3.1.1 has neither.
func (d *decoder) outcome(v Version, t Type) (c Code, p Properties) {
	if v == V5 && len(d.b) > 0 {
		c = d.code(v, t)
		if len(d.b) > 0 {
			p = d.propertiesOf(v, t)
		}
	}
	return c, p
}

func (d *decoder) propertiesOf(v Version, t Type) Properties {
	if v != V5 || d.err != nil {
		return nil
	}
	return d.properties(t)
}

// code reads a reason code, or a return code of MQTT 3.1.1.
func (d *decoder) code(v Version, t Type) Code {
	c := Code(d.byte())
	if d.err == nil && !c.allowed(v, t) {
		d.fail(violation(fmt.Sprintf("%v cannot have the reason code 0x%02x (section 2.4)", t, byte(c))))
	}
	return c
}

// codes reads reason codes to the end of the packet.
func (d *decoder) codes(v Version, t Type) (out []Code) {
	for d.err == nil && len(d.b) > 0 {
		out = append(out, d.code(v, t))
	}
	return out
}

func (d *decoder) checkResponseTopic(p Properties) {
	if topic, ok := p.Data(ResponseTopic); ok && !ValidTopicName(topic) {
		d.fail(violation("a response topic has at least one character, and no wildcards (section 3.3.2.3.5)"))
	}
}

// ValidTopicName reports whether s can be the topic of a message: it is not
// empty, UTF-8 of at most 65,535 bytes, and has no wildcard and no U+0000
// (section 4.7).
func ValidTopicName(s string) bool {
	return s != "" && len(s) < 1<<16 && utf8.ValidString(s) && !strings.ContainsAny(s, "+#\x00")
}

// decoder reads from b until an error occurs. After that it yields zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
		d.b = nil
	}
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail(malformed("the packet ends too early"))
	}
	if d.err != nil {
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// varint reads a variable byte integer (section 1.5.5).
func (d *decoder) varint() (n uint32) {
	for shift := 0; shift < 28; shift += 7 {
		c := d.byte()
		n |= uint32(c&0x7f) << shift
		if c < 0x80 {
			if c == 0 && shift > 0 {
				d.fail(errOverlong)
			}
			return n
		}
	}
	d.fail(malformed("a variable byte integer has more than four bytes"))
	return 0
}

// errOverlong is MQTT-1.5.5-1.
var errOverlong = malformed("a variable byte integer has more bytes than it needs")

func (d *decoder) bytes() []byte { return d.take(int(d.uint16())) }

func (d *decoder) string() string {
	s := string(d.bytes())
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		d.fail(malformed("a text is not UTF-8, or has the character U+0000"))
	}
	return s
}

func (d *decoder) packetID() uint16 {
	id := d.uint16()
	if id == 0 {
		d.fail(violation("a packet identifier cannot be 0"))
	}
	return id
}
