//go:build !unix || aix || solaris || illumos

package testtool

// lockFile does nothing here: where two packages' tests install the same folder
// for the first time, run one of them first.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }
