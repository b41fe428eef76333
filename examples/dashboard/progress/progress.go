// Package progress reports how far a job is, to everyone who has the dashboard open.
//
//	r := progress.Start(client, "Import", len(items), slog.Default())
//	for _, item := range items {
//		...
//		r.Add(1)
//	}
//	r.Finish(nil)
package progress

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"example.com/webpubsub"
)

// Group is the group of the connections that receive reports.
const Group = "jobs"

const (
	every     = 500 * time.Millisecond // a report
	patience  = 5 * time.Second        // for sending one
	maxPoints = 120                    // of a plot
)

// Sender sends to a group. *service.Client implements it.
type Sender interface {
	SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *webpubsub.SendOptions) error
}

// Report is all that a dashboard shows of a job. It does not build on earlier ones: a
// page that is opened later, or has missed some, is complete with the next.
type Report struct {
	ID     string       `json:"id"`
	Job    string       `json:"job"`
	State  string       `json:"state"` // running, succeeded or failed
	Error  string       `json:"error,omitempty"`
	Done   int          `json:"done"`
	Total  int          `json:"total"`
	Points [][2]float64 `json:"points"` // seconds since the start, and items done then
}

// Reporter sends the reports of one job. A report that cannot be sent is logged, and
// the job goes on.
type Reporter struct {
	to    Sender
	log   *slog.Logger
	start time.Time
	stop  chan struct{}
	ended chan struct{}

	mu     sync.Mutex
	report Report
}

// Start sends the first report of a job of total items, and further ones until
// [Reporter.Finish] is called, twice a second however fast the items are.
func Start(to Sender, job string, total int, log *slog.Logger) *Reporter {
	r := &Reporter{to: to, log: log, start: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	r.report = Report{ID: strconv.FormatUint(rand.Uint64(), 36), Job: job, State: "running", Total: total}
	go r.run()
	return r
}

// Add counts items that are done.
func (r *Reporter) Add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Done += n
}

// Finish sends the last report. err is why the job has failed, or nil. Call it once, and
// nothing afterwards.
func (r *Reporter) Finish(err error) {
	close(r.stop)
	<-r.ended
	r.report.State = "succeeded"
	if err != nil {
		r.report.State, r.report.Error = "failed", err.Error()
	}
	r.send()
}

func (r *Reporter) run() {
	defer close(r.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r.send()
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
	}
}

func (r *Reporter) send() {
	// The context of a job that was interrupted has ended, and this is the news of it.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.to.SendToGroup(ctx, Group, r.next(), nil); err != nil {
		r.log.Warn("progress was not reported", "job", r.report.Job, "error", err)
	}
}

// next returns the report of this moment.
func (r *Reporter) next() webpubsub.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Points) == maxPoints { // every second one: half as many, over the same time
		kept := r.report.Points[:0]
		for i := 0; i < maxPoints; i += 2 {
			kept = append(kept, r.report.Points[i])
		}
		r.report.Points = kept
	}
	seconds := float64(time.Since(r.start).Milliseconds()) / 1000
	r.report.Points = append(r.report.Points, [2]float64{seconds, float64(r.report.Done)})
	return webpubsub.MustJSON(r.report)
}
