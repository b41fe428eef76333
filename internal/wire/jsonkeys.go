package wire

// key is a member name of the JSON frames.
type key uint8

const (
	keyType key = iota
	keyAckID
	keyConnectionID
	keyData
	keyDataType
	keyEndOfStream
	keyError
	keyEvent
	keyExpectedSequenceID
	keyFrom
	keyFromUserID
	keyGroup
	keyIdleTimeoutMs
	keyInvocationID
	keyItems
	keyMessage
	keyMetadata
	keyName
	keyNoEcho
	keyReconnectionToken
	keySequenceID
	keyState
	keyStream
	keyStreamID
	keyStreamSequenceID
	keySuccess
	keyTarget
	keyTTLSeconds
	keyUpdatedAt
	keyUserErrorCode
	keyUserID
	keyCount
)

var keyNames = [keyCount]string{
	keyType:               "type",
	keyAckID:              "ackId",
	keyConnectionID:       "connectionId",
	keyData:               "data",
	keyDataType:           "dataType",
	keyEndOfStream:        "endOfStream",
	keyError:              "error",
	keyEvent:              "event",
	keyExpectedSequenceID: "expectedSequenceId",
	keyFrom:               "from",
	keyFromUserID:         "fromUserId",
	keyGroup:              "group",
	keyIdleTimeoutMs:      "idleTimeoutMs",
	keyInvocationID:       "invocationId",
	keyItems:              "items",
	keyMessage:            "message",
	keyMetadata:           "metadata",
	keyName:               "name",
	keyNoEcho:             "noEcho",
	keyReconnectionToken:  "reconnectionToken",
	keySequenceID:         "sequenceId",
	keyState:              "state",
	keyStream:             "stream",
	keyStreamID:           "streamId",
	keyStreamSequenceID:   "streamSequenceId",
	keySuccess:            "success",
	keyTarget:             "target",
	keyTTLSeconds:         "ttlSeconds",
	keyUpdatedAt:          "updatedAt",
	keyUserErrorCode:      "userErrorCode",
	keyUserID:             "userId",
}

// keyOf is the inverse of keyNames: a switch, because a map takes four times
// as long and this is done for every member of every frame.
func keyOf(name []byte) (key, bool) {
	switch string(name) {
	case "type":
		return keyType, true
	case "ackId":
		return keyAckID, true
	case "connectionId":
		return keyConnectionID, true
	case "data":
		return keyData, true
	case "dataType":
		return keyDataType, true
	case "endOfStream":
		return keyEndOfStream, true
	case "error":
		return keyError, true
	case "event":
		return keyEvent, true
	case "expectedSequenceId":
		return keyExpectedSequenceID, true
	case "from":
		return keyFrom, true
	case "fromUserId":
		return keyFromUserID, true
	case "group":
		return keyGroup, true
	case "idleTimeoutMs":
		return keyIdleTimeoutMs, true
	case "invocationId":
		return keyInvocationID, true
	case "items":
		return keyItems, true
	case "message":
		return keyMessage, true
	case "metadata":
		return keyMetadata, true
	case "name":
		return keyName, true
	case "noEcho":
		return keyNoEcho, true
	case "reconnectionToken":
		return keyReconnectionToken, true
	case "sequenceId":
		return keySequenceID, true
	case "state":
		return keyState, true
	case "stream":
		return keyStream, true
	case "streamId":
		return keyStreamID, true
	case "streamSequenceId":
		return keyStreamSequenceID, true
	case "success":
		return keySuccess, true
	case "target":
		return keyTarget, true
	case "ttlSeconds":
		return keyTTLSeconds, true
	case "updatedAt":
		return keyUpdatedAt, true
	case "userErrorCode":
		return keyUserErrorCode, true
	case "userId":
		return keyUserID, true
	}
	return 0, false
}
