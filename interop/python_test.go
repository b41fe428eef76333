package interop_test

import (
	"testing"

	"example.com/webpubsub/internal/test/testtool"
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
			b.pythonTest(t, p, suite.pkg, python, "python", suite.tests)
		})
	}
}

// pythonTest runs tests of a folder, a module or a class of one.
func (b *backend) pythonTest(t *testing.T, p *proof, pkg, python, dir, tests string) {
	t.Helper()
	p.suite(t, b, pkg, dir, python, "-W", "ignore::ResourceWarning", "../python/run.py", tests)
}
