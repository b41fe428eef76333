package mqtt

import "net/http"

// HTTPStatus returns the HTTP status with which an event handler rejects a
// connection with the code, as Microsoft's handler libraries map it. It is 500
// for a code that they do not map.
func (c Code) HTTPStatus() int {
	switch c {
	case V311BadUserNameOrPassword, V311NotAuthorized,
		BadUserNameOrPassword, NotAuthorized:
		return http.StatusUnauthorized
	case Banned:
		return http.StatusForbidden
	case QuotaExceeded, ConnectionRateExceeded:
		return http.StatusTooManyRequests
	case V311ServerUnavailable:
		return http.StatusServiceUnavailable
	case V311UnacceptableVersion, V311IdentifierRejected,
		MalformedPacket, ImplementationError, UnsupportedProtocolVersion,
		ClientIdentifierNotValid, BadAuthenticationMethod, TopicNameInvalid,
		PacketTooLarge, PayloadFormatInvalid, RetainNotSupported, QoSNotSupported:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// CodeForStatus returns the code that a CONNACK packet of the version contains if
// the connection was rejected with an HTTP status and without a code. What the
// service makes of such a status is not documented: 400, 401 and 500 are mapped
// as in web-pubsub-express; 403, 429 and 503 to the code with the same meaning.
func CodeForStatus(status int, v Version) Code {
	switch v {
	case V311:
		switch status {
		case http.StatusBadRequest:
			return V311BadUserNameOrPassword
		case http.StatusUnauthorized, http.StatusForbidden:
			return V311NotAuthorized
		}
		return V311ServerUnavailable
	case V5:
		switch status {
		case http.StatusBadRequest:
			return BadUserNameOrPassword
		case http.StatusUnauthorized, http.StatusForbidden:
			return NotAuthorized
		case http.StatusTooManyRequests:
			return ConnectionRateExceeded
		case http.StatusServiceUnavailable:
			return ServerUnavailable
		}
		return UnspecifiedError
	}
	return V311UnacceptableVersion
}
