package interop_test

import (
	"testing"

	"example.com/webpubsub/internal/testtool"
)

// runPython runs the official Python packages.
func runPython(t *testing.T, p *proof) {
	python := testtool.Python(t, "python")
	for _, suite := range []struct{ pkg, tests string }{
		{pyService, "test_service"},
		{pyClient, "test_client.Sync"},
		{pyClient, "test_client.Async"},
	} {
		t.Run(suite.tests, func(t *testing.T) {
			t.Parallel()
			b := start(t, nil)
			p.suite(t, b, suite.pkg, "python", python, "-W", "ignore::ResourceWarning", "run.py", suite.tests)
		})
	}
}
