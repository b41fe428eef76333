package progress

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/test/testlog"
)

// sent collects reports, and fails while fail is set.
type sent struct {
	t       *testing.T
	reports []Report
	fail    error
}

func (s *sent) SendToGroup(_ context.Context, group string, m webpubsub.Message, _ *webpubsub.SendOptions) error {
	var r Report
	if err := json.Unmarshal(m.Data, &r); err != nil || group != Group {
		s.t.Errorf("%s to %s: %v", m, group, err)
	}
	s.reports = append(s.reports, r)
	return s.fail
}

// Reports are sent at the rate of the clock, not of the items, and the last one is
// complete. The plot of a long job has no more points than that of a short one.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Buffer{}
		s := &sent{t: t}
		r := Start(s, "import", 1000, log.Logger())
		for range 1000 {
			time.Sleep(100 * time.Millisecond)
			r.Add(1)
		}
		r.Finish(nil)
		if n := len(s.reports); n < 200 || n > 202 {
			t.Errorf("%d reports in 100 s", n)
		}
		last := s.reports[len(s.reports)-1]
		if last.State != "succeeded" || last.Done != 1000 || last.Total != 1000 || last.ID != s.reports[0].ID || last.Error != "" {
			t.Errorf("got %+v", last)
		}
		if first, end := last.Points[0], last.Points[len(last.Points)-1]; first != [2]float64{0, 0} || end != [2]float64{100, 1000} {
			t.Errorf("the plot is from %v to %v", first, end)
		}
		for _, report := range s.reports {
			if n := len(report.Points); n > maxPoints {
				t.Errorf("%d points", n)
			}
		}
	})
}

func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Buffer{}
		s := &sent{t: t, fail: errors.New("no such host")}
		r := Start(s, "import", 10, log.Logger())
		time.Sleep(time.Second)
		r.Finish(errors.New("row 3 is not a number"))
		if last := s.reports[len(s.reports)-1]; last.State != "failed" || last.Error != "row 3 is not a number" {
			t.Errorf("got %+v", last)
		}
		if !strings.Contains(log.String(), "no such host") {
			t.Errorf("the log is %q", log)
		}
	})
}
