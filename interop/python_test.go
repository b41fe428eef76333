package interop_test

import (
	"testing"

	"example.com/webpubsub/internal/testtool"
)

// runPython runs the official Python packages.
func runPython(t *testing.T, p *proof) {
	python := testtool.Python(t, "python")
	b := start(t, nil)
	for _, suite := range []struct{ pkg, module string }{
		{pyService, "test_service"},
		{pyClient, "test_client"},
	} {
		t.Run(suite.module, func(t *testing.T) {
			p.suite(t, b, suite.pkg, "python", python, "-W", "ignore::ResourceWarning", "run.py", suite.module)
		})
	}
}
