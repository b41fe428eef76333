package mqtt

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// PropertyID names a property (section 2.2.2.2).
type PropertyID byte

// The properties.
const (
	PayloadFormat               PropertyID = 0x01
	MessageExpiry               PropertyID = 0x02
	ContentType                 PropertyID = 0x03
	ResponseTopic               PropertyID = 0x08
	CorrelationData             PropertyID = 0x09
	SubscriptionID              PropertyID = 0x0b
	SessionExpiry               PropertyID = 0x11
	AssignedClientID            PropertyID = 0x12
	ServerKeepAlive             PropertyID = 0x13
	AuthenticationMethod        PropertyID = 0x15
	AuthenticationData          PropertyID = 0x16
	RequestProblem              PropertyID = 0x17
	WillDelay                   PropertyID = 0x18
	RequestResponse             PropertyID = 0x19
	ResponseInformation         PropertyID = 0x1a
	ServerReference             PropertyID = 0x1c
	ReasonString                PropertyID = 0x1f
	ReceiveMaximum              PropertyID = 0x21
	TopicAliasMaximum           PropertyID = 0x22
	TopicAlias                  PropertyID = 0x23
	MaximumQoS                  PropertyID = 0x24
	RetainAvailable             PropertyID = 0x25
	UserProperty                PropertyID = 0x26
	MaximumPacketSize           PropertyID = 0x27
	WildcardAvailable           PropertyID = 0x28
	SubscriptionIDsAvailable    PropertyID = 0x29
	SharedSubscriptionAvailable PropertyID = 0x2a
)

// Property is one property of a packet. Which field has its value depends on
// its ID: Int a number, Data text or bytes; a user property has its name in
// Data and its value in Value.
type Property struct {
	ID    PropertyID
	Int   uint32
	Data  string
	Value string
}

// Properties are the properties of an MQTT 5.0 packet in their order. Packets of
// MQTT 3.1.1 have none.
type Properties []Property

// Int returns a number, and whether it is there.
func (p Properties) Int(id PropertyID) (uint32, bool) {
	for _, q := range p {
		if q.ID == id {
			return q.Int, true
		}
	}
	return 0, false
}

// Data returns a text or bytes, and whether they are there.
func (p Properties) Data(id PropertyID) (string, bool) {
	for _, q := range p {
		if q.ID == id {
			return q.Data, true
		}
	}
	return "", false
}

// Only returns those of the properties that have one of the ids.
func (p Properties) Only(ids ...PropertyID) Properties {
	var out Properties
	for _, q := range p {
		for _, id := range ids {
			if q.ID == id {
				out = append(out, q)
				break
			}
		}
	}
	return out
}

func (p Properties) brief() Properties {
	return slices.DeleteFunc(slices.Clone(p), func(q Property) bool { return q.ID == ReasonString || q.ID == UserProperty })
}

// AddInt appends a number.
func (p *Properties) AddInt(id PropertyID, n uint32) { *p = append(*p, Property{ID: id, Int: n}) }

// AddData appends a text or bytes.
func (p *Properties) AddData(id PropertyID, s string) { *p = append(*p, Property{ID: id, Data: s}) }

// AddUser appends a user property.
func (p *Properties) AddUser(name, value string) {
	*p = append(*p, Property{ID: UserProperty, Data: name, Value: value})
}

// form is the encoding of a property.
type form byte

const (
	formFlag form = iota + 1 // a byte that is 0 or 1
	formUint16
	formUint32
	formVarint
	formString
	formBytes
	formPair
)

// inWill is the type for the properties of a will, which are a separate list within
// CONNECT. No packet has the type 0.
const inWill Type = 0

func in(types ...Type) (set uint16) {
	for _, t := range types {
		set |= 1 << t
	}
	return set
}

var acks = in(TypePuback, TypePubrec, TypePubrel, TypePubcomp)

// propertyRules are the form of each property, the packets that may have it,
// and whether zero is an illegal value.
var propertyRules = [0x2b]struct {
	form    form
	in      uint16
	nonzero bool
}{
	PayloadFormat:               {formFlag, in(TypePublish, inWill), false},
	MessageExpiry:               {formUint32, in(TypePublish, inWill), false},
	ContentType:                 {formString, in(TypePublish, inWill), false},
	ResponseTopic:               {formString, in(TypePublish, inWill), false},
	CorrelationData:             {formBytes, in(TypePublish, inWill), false},
	SubscriptionID:              {formVarint, in(TypePublish, TypeSubscribe), true},
	SessionExpiry:               {formUint32, in(TypeConnect, TypeConnack, TypeDisconnect), false},
	AssignedClientID:            {formString, in(TypeConnack), false},
	ServerKeepAlive:             {formUint16, in(TypeConnack), false},
	AuthenticationMethod:        {formString, in(TypeConnect, TypeConnack, TypeAuth), false},
	AuthenticationData:          {formBytes, in(TypeConnect, TypeConnack, TypeAuth), false},
	RequestProblem:              {formFlag, in(TypeConnect), false},
	WillDelay:                   {formUint32, in(inWill), false},
	RequestResponse:             {formFlag, in(TypeConnect), false},
	ResponseInformation:         {formString, in(TypeConnack), false},
	ServerReference:             {formString, in(TypeConnack, TypeDisconnect), false},
	ReasonString:                {formString, acks | in(TypeConnack, TypeSuback, TypeUnsuback, TypeDisconnect, TypeAuth), false},
	ReceiveMaximum:              {formUint16, in(TypeConnect, TypeConnack), true},
	TopicAliasMaximum:           {formUint16, in(TypeConnect, TypeConnack), false},
	TopicAlias:                  {formUint16, in(TypePublish), false},
	MaximumQoS:                  {formFlag, in(TypeConnack), false},
	RetainAvailable:             {formFlag, in(TypeConnack), false},
	UserProperty:                {formPair, 0xffff &^ in(TypePingreq, TypePingresp), false},
	MaximumPacketSize:           {formUint32, in(TypeConnect, TypeConnack), true},
	WildcardAvailable:           {formFlag, in(TypeConnack), false},
	SubscriptionIDsAvailable:    {formFlag, in(TypeConnack), false},
	SharedSubscriptionAvailable: {formFlag, in(TypeConnack), false},
}

// properties reads a list of properties.
func (d *decoder) properties(of Type) Properties {
	list := decoder{b: d.take(int(d.varint()))}
	if d.err != nil {
		return nil
	}
	var out Properties
	var seen uint64
	for len(list.b) > 0 && list.err == nil {
		id := list.varint()
		if id >= uint32(len(propertyRules)) || propertyRules[id].form == 0 {
			list.fail(malformed(fmt.Sprintf("there is no property 0x%02x", id)))
			break
		}
		p, rule := Property{ID: PropertyID(id)}, propertyRules[id]
		switch rule.form {
		case formFlag:
			p.Int = uint32(list.byte())
		case formUint16:
			p.Int = uint32(list.uint16())
		case formUint32:
			p.Int = list.uint32()
		case formVarint:
			p.Int = list.varint()
		case formString:
			p.Data = list.string()
		case formBytes:
			p.Data = string(list.bytes())
		case formPair:
			p.Data, p.Value = list.string(), list.string()
		}
		// A server may put several subscription identifiers on one message.
		again := p.ID == UserProperty || p.ID == SubscriptionID && of == TypePublish
		switch {
		case list.err != nil:
		case rule.in&(1<<of) == 0:
			list.fail(violation(fmt.Sprintf("this packet has no property 0x%02x", byte(p.ID))))
		case seen&(1<<p.ID) != 0 && !again:
			list.fail(violation(fmt.Sprintf("the property 0x%02x occurs twice", byte(p.ID))))
		case rule.form == formFlag && p.Int > 1, rule.nonzero && p.Int == 0:
			list.fail(violation(fmt.Sprintf("the property 0x%02x cannot be %d", byte(p.ID), p.Int)))
		}
		seen |= 1 << p.ID
		out = append(out, p)
	}
	if list.err != nil {
		d.fail(list.err)
	}
	return out
}

func appendProperties(b []byte, list Properties) []byte {
	var body []byte
	for _, p := range list {
		body = append(body, byte(p.ID))
		switch propertyRules[p.ID].form {
		case formFlag:
			body = append(body, byte(p.Int))
		case formUint16:
			body = binary.BigEndian.AppendUint16(body, uint16(p.Int))
		case formUint32:
			body = binary.BigEndian.AppendUint32(body, p.Int)
		case formVarint:
			body = appendVarint(body, p.Int)
		case formString:
			body = appendText(body, p.Data)
		case formBytes:
			body = appendString(body, p.Data)
		case formPair:
			body = appendText(appendText(body, p.Data), p.Value)
		}
	}
	return append(appendVarint(b, uint32(len(body))), body...)
}
