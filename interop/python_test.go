package interop_test

import (
	"testing"

	"example.com/webpubsub/internal/testtool"
)

// TestPython runs the official Python packages.
func TestPython(t *testing.T) {
	python := testtool.Python(t, "python")
	b := start(t, nil)
	for _, name := range []string{"test_service", "test_client"} {
		t.Run(name, func(t *testing.T) {
			b.run(t, "python", python, "-W", "ignore::ResourceWarning", "-m", "unittest", "-v", name)
		})
	}
}
