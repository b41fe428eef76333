package session

import "example.com/webpubsub/internal/wire"

// frameName is the type of a frame in the client protocol.
func frameName(frame any) string {
	switch frame.(type) {
	case wire.JoinGroup:
		return "joinGroup"
	case wire.LeaveGroup:
		return "leaveGroup"
	case wire.SendToGroup:
		return "sendToGroup"
	case wire.Event:
		return "event"
	case wire.SequenceAck:
		return "sequenceAck"
	case wire.Ping:
		return "ping"
	case wire.Invoke:
		return "invoke"
	case wire.CancelInvocation:
		return "cancelInvocation"
	case wire.StreamData:
		return "streamData"
	case wire.StreamEnd:
		return "streamEnd"
	case wire.SetGroupState:
		return "setGroupState"
	case wire.SubscribeGroupState:
		return "subscribeGroupState"
	case wire.UnsubscribeGroupState:
		return "unsubscribeGroupState"
	case wire.Connected:
		return "connected"
	case wire.Disconnected:
		return "disconnected"
	case wire.Ack:
		return "ack"
	case wire.Pong:
		return "pong"
	case wire.InvokeResponse:
		return "invokeResponse"
	case wire.StreamAck:
		return "streamAck"
	case wire.StreamNack:
		return "streamNack"
	case wire.StreamClosed:
		return "streamClosed"
	case wire.GroupState:
		return "groupState"
	}
	return "message"
}
