package mqtt

import (
	"fmt"
	"strings"
)

// Code is a reason code of MQTT 5.0, or a return code of a CONNACK or SUBACK
// packet of MQTT 3.1.1.
type Code byte

// Reason codes (section 2.4). Below 0x80 they mean success.
const (
	Success                    Code = 0x00
	DisconnectWithWill         Code = 0x04
	NoSubscriptionExisted      Code = 0x11
	UnspecifiedError           Code = 0x80
	MalformedPacket            Code = 0x81
	ProtocolError              Code = 0x82
	ImplementationError        Code = 0x83
	UnsupportedProtocolVersion Code = 0x84
	ClientIdentifierNotValid   Code = 0x85
	BadUserNameOrPassword      Code = 0x86
	NotAuthorized              Code = 0x87
	ServerUnavailable          Code = 0x88
	ServerBusy                 Code = 0x89
	Banned                     Code = 0x8a
	BadAuthenticationMethod    Code = 0x8c
	KeepAliveTimeout           Code = 0x8d
	SessionTakenOver           Code = 0x8e
	TopicFilterInvalid         Code = 0x8f
	TopicNameInvalid           Code = 0x90
	PacketIdentifierNotFound   Code = 0x92
	TopicAliasInvalid          Code = 0x94
	PacketTooLarge             Code = 0x95
	QuotaExceeded              Code = 0x97
	AdministrativeAction       Code = 0x98
	PayloadFormatInvalid       Code = 0x99
	RetainNotSupported         Code = 0x9a
	QoSNotSupported            Code = 0x9b
	UseAnotherServer           Code = 0x9c
	ServerMoved                Code = 0x9d
	SharedNotSupported         Code = 0x9e
	ConnectionRateExceeded     Code = 0x9f
	MaximumConnectTime         Code = 0xa0
	WildcardNotSupported       Code = 0xa2
)

// Return codes of a CONNACK packet of MQTT 3.1.1 (its section 3.2.2.3). A
// failed subscription has the code 0x80 there, regardless of the reason.
const (
	V311UnacceptableVersion   Code = 1
	V311IdentifierRejected    Code = 2
	V311ServerUnavailable     Code = 3
	V311BadUserNameOrPassword Code = 4
	V311NotAuthorized         Code = 5
)

// reasonCodes are the codes that each packet of MQTT 5.0 may have (section 2.4).
var reasonCodes = [TypeAuth + 1]string{
	TypeConnack:    "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f",
	TypePuback:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	TypePubrec:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	TypePubrel:     "\x00\x92",
	TypePubcomp:    "\x00\x92",
	TypeSuback:     "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2",
	TypeUnsuback:   "\x00\x11\x80\x83\x87\x8f\x91",
	TypeDisconnect: "\x00\x04\x80\x81\x82\x83\x87\x89\x8b\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2",
	TypeAuth:       "\x00\x18\x19",
}

// allowed reports whether a packet of the type and version may have the code.
func (c Code) allowed(v Version, t Type) bool {
	switch {
	case v == V5:
		return strings.IndexByte(reasonCodes[t], byte(c)) >= 0
	case t == TypeSuback:
		return c <= 2 || c == UnspecifiedError
	}
	return c <= V311NotAuthorized
}

// Rejects reports whether a CONNACK packet of the version may reject a
// connection with the code (section 3.2.2.2).
func (c Code) Rejects(v Version) bool { return c != Success && c.allowed(v, TypeConnack) }

// Connack returns the code by which a CONNACK packet of the version reports what
// c means in MQTT 5.0. It returns false if there is none, as for most codes in
// MQTT 3.1.1: then a server closes the connection without a CONNACK packet
// (MQTT 3.1.1, section 3.2.2.3).
func (c Code) Connack(v Version) (Code, bool) {
	if v == V5 {
		return c, c.Rejects(v)
	}
	switch c {
	case UnsupportedProtocolVersion:
		return V311UnacceptableVersion, true
	case ClientIdentifierNotValid:
		return V311IdentifierRejected, true
	case ServerUnavailable, ServerBusy:
		return V311ServerUnavailable, true
	case BadUserNameOrPassword:
		return V311BadUserNameOrPassword, true
	case NotAuthorized, Banned:
		return V311NotAuthorized, true
	}
	return 0, false
}

// Error is a packet that breaks the protocol. The connection is to be closed,
// with Code in the last packet where the version allows that.
type Error struct {
	Code Code
	// Rule is the rule that is broken.
	Rule string
}

// Error returns the rule and the code.
func (e *Error) Error() string { return fmt.Sprintf("mqtt: %s (0x%02x)", e.Rule, byte(e.Code)) }

func malformed(rule string) error { return &Error{MalformedPacket, rule} }
func violation(rule string) error { return &Error{ProtocolError, rule} }
