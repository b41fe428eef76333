package main

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/examples/dashboard/progress"
	"example.com/webpubsub/internal/test/apptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A job reports to everyone who has the page open, and they cannot report themselves.
func TestDashboard(t *testing.T) {
	a := apptest.Start(t, New, nil)
	alice, bob := a.Connect("alice"), a.Connect("bob")
	r := progress.Start(a.Service, "import", 3, a.App.Log)
	r.Add(2)
	r.Finish(errors.New("row 3 is not a number"))
	for _, c := range []*apptest.Client{alice, bob} {
		var report progress.Report
		for report.State != "failed" {
			c.ReceiveJSON(&report)
		}
		if report.Job != "import" || report.Done != 2 || report.Total != 3 || report.Error != "row 3 is not a number" {
			t.Errorf("got %+v", report)
		}
	}
	err := alice.SendToGroup(t.Context(), progress.Group, webpubsub.Text("forged"), &client.SendToGroupOptions{Retry: &client.RetryOptions{MaxRetries: -1}})
	if !errors.Is(err, client.ErrForbidden) {
		t.Errorf("a page can publish: %v", err)
	}
}

func TestPage(t *testing.T) {
	a := apptest.Start(t, New, nil)
	a.Browse("../testdata/browser/dashboard.js", "REPORT_URL="+a.GroupURL(progress.Group))
}
