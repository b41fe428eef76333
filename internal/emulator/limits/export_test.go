package limits

// Windows returns the number of windows that are kept.
func (l *Limiter) Windows() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.traffic)
}
