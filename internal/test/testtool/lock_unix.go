//go:build unix && !aix && !solaris && !illumos

package testtool

import (
	"os"
	"syscall"
)

// lockFile waits until no other process holds the lock of the file.
func lockFile(name string) (unlock func(), err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
