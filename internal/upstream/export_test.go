package upstream

import "net/url"

// Resolve fills a URL template.
func Resolve(template, hub, event string) (*url.URL, error) { return resolve(template, hub, event) }

// Validations returns how many validations are remembered.
func (d *Dispatcher) Validations() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.valid)
}
