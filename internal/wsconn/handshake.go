package wsconn

import "errors"

// maxHandshake bounds what a client reads before the handshake is complete, in
// bytes: TLS certificates and the headers of responses, which net/http reads whole.
const maxHandshake = 1 << 20

var errHandshakeTooLarge = errors.New("response to the WebSocket handshake is too large: it exceeds 1 MiB")

// HandshakeBound bounds what the handshake of one WebSocket reads. The zero value
// is ready to use, by the goroutine that reads.
type HandshakeBound struct {
	read     int
	complete bool
}

// Add reports n more bytes that were read from the network. It fails if the
// handshake has read too many.
func (h *HandshakeBound) Add(n int) error {
	if h.complete {
		return nil
	}
	if h.read = min(h.read+n, maxHandshake+1); h.read > maxHandshake {
		return errHandshakeTooLarge
	}
	return nil
}

// Complete ends the bound: the handshake has succeeded.
func (h *HandshakeBound) Complete() { h.complete = true }
