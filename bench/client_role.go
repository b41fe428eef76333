package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

// clientOurs is the client of this repository.
func clientOurs(args []string) error {
	return clientRole(func(box *mailbox) (echoClient, error) {
		c, err := client.New(client.URL(args[0]), client.Options{})
		if err != nil {
			return nil, err
		}
		c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { box.put(m.Message.Data) })
		return &oursEcho{client: c}, c.Start(context.Background())
	})
}

type oursEcho struct {
	client  *client.Client
	numbers [echoInFlight]int
}

func (o *oursEcho) run(d time.Duration) (int, error) {
	var n atomic.Int64
	errs := make(chan error, echoInFlight)
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for i := range echoInFlight {
		wg.Go(func() {
			for time.Now().Before(end) {
				o.numbers[i]++
				m := webpubsub.Text(string(stamp(nil, i, o.numbers[i], time.Now())))
				if err := o.client.SendToGroup(context.Background(), groupName, m, nil); err != nil {
					errs <- err
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
		return int(n.Load()), nil
	}
}

// clientCeiling is a loop over gorilla/websocket that decodes the same frames
// with encoding/json and does no more than it must: it knows no groups, events,
// options, reconnection or concurrency.
func clientCeiling(args []string) error {
	return clientRole(func(box *mailbox) (echoClient, error) {
		d := websocket.Dialer{Subprotocols: []string{"json.reliable.webpubsub.azure.v1"}}
		ws, _, err := d.Dial(args[0], nil)
		if err != nil {
			return nil, err
		}
		b := &bareClient{ws: ws, box: box, done: make(chan int), lost: make(chan error, 1)}
		go func() { b.lost <- b.loop() }()
		return b, nil
	})
}

type bareClient struct {
	ws      *websocket.Conn
	box     *mailbox
	done    chan int
	lost    chan error
	numbers [echoInFlight]int

	mu      sync.Mutex // guards the fields below and writing
	end     time.Time
	flying  int
	count   int
	out     []byte
	acked   uint64
	highest uint64
}

func (b *bareClient) run(d time.Duration) (int, error) {
	b.mu.Lock()
	b.end, b.count, b.flying = time.Now().Add(d), 0, echoInFlight
	var err error
	for i := range echoInFlight {
		err = errors.Join(err, b.publish(i))
	}
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	select {
	case n := <-b.done:
		return n, nil
	case err := <-b.lost:
		return 0, err
	}
}

// publish must be called with b.mu held. The ack id tells the sender.
func (b *bareClient) publish(sender int) error {
	b.numbers[sender]++
	b.out = fmt.Appendf(b.out[:0], `{"type":"sendToGroup","group":"g","ackId":%d,"dataType":"text","data":"`, b.numbers[sender]*echoInFlight+sender)
	b.out = append(stamp(b.out, sender, b.numbers[sender], time.Now()), `"}`...)
	return b.ws.WriteMessage(websocket.TextMessage, b.out)
}

func (b *bareClient) loop() error {
	for {
		_, frame, err := b.ws.ReadMessage()
		if err != nil {
			return err
		}
		var f struct {
			Type       string          `json:"type"`
			SequenceID uint64          `json:"sequenceId"`
			AckID      int             `json:"ackId"`
			Success    bool            `json:"success"`
			Group      string          `json:"group"`
			FromUserID string          `json:"fromUserId"`
			DataType   string          `json:"dataType"`
			Data       json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(frame, &f); err != nil {
			return err
		}
		switch f.Type {
		case "message":
			var text string
			if err := json.Unmarshal(f.Data, &text); err != nil {
				return err
			}
			b.box.put([]byte(text))
			if b.highest = f.SequenceID; b.highest-b.acked >= 300 {
				b.acked = b.highest
				b.mu.Lock()
				err = b.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"sequenceAck","sequenceId":%d}`, b.acked))
				b.mu.Unlock()
			}
		case "ack":
			if !f.Success {
				return fmt.Errorf("not acknowledged: %s", frame)
			}
			b.mu.Lock()
			b.count++
			if time.Now().Before(b.end) {
				err = b.publish(f.AckID % echoInFlight)
			} else if b.flying--; b.flying == 0 {
				n := b.count
				go func() { b.done <- n }()
			}
			b.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
}
