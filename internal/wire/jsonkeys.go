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

// keys is the inverse of keyNames.
var keys = func() map[string]key {
	m := make(map[string]key, keyCount)
	for k, name := range keyNames {
		m[name] = key(k)
	}
	return m
}()
