package mqtt

import "fmt"

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
	WildcardNotSupported       Code = 0xa2
)

// Return codes of a CONNACK packet of MQTT 3.1.1 (its section 3.2.2.3). A
// failed subscription has the code 0x80 there, whatever the reason.
const (
	V311UnacceptableVersion   Code = 1
	V311IdentifierRejected    Code = 2
	V311ServerUnavailable     Code = 3
	V311BadUserNameOrPassword Code = 4
	V311NotAuthorized         Code = 5
)

// Refuses reports whether a CONNACK packet of the version may refuse a
// connection with the code (section 3.2.2.2).
func (c Code) Refuses(v Version) bool {
	if v != V5 {
		return c >= V311UnacceptableVersion && c <= V311NotAuthorized
	}
	switch c {
	case UnspecifiedError, MalformedPacket, ProtocolError, ImplementationError, UnsupportedProtocolVersion,
		ClientIdentifierNotValid, BadUserNameOrPassword, NotAuthorized, ServerUnavailable, ServerBusy, Banned,
		BadAuthenticationMethod, TopicNameInvalid, PacketTooLarge, QuotaExceeded, PayloadFormatInvalid,
		RetainNotSupported, QoSNotSupported, UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return true
	}
	return false
}

// Connack returns the code by which a CONNACK packet of the version says what c
// says in MQTT 5.0. MQTT 3.1.1 has five codes; what none of them fits is
// "server unavailable" there.
func (c Code) Connack(v Version) Code {
	if v == V5 {
		return c
	}
	switch c {
	case UnsupportedProtocolVersion:
		return V311UnacceptableVersion
	case ClientIdentifierNotValid:
		return V311IdentifierRejected
	case BadUserNameOrPassword:
		return V311BadUserNameOrPassword
	case NotAuthorized, Banned:
		return V311NotAuthorized
	}
	return V311ServerUnavailable
}

// Error is a packet that breaks the protocol. The connection is to be closed,
// with Code in the last packet where the version allows that.
type Error struct {
	Code Code
	// Rule says which rule is broken.
	Rule string
}

// Error returns the rule and the code.
func (e *Error) Error() string { return fmt.Sprintf("mqtt: %s (0x%02x)", e.Rule, byte(e.Code)) }

func malformed(rule string) error { return &Error{MalformedPacket, rule} }
func violation(rule string) error { return &Error{ProtocolError, rule} }
