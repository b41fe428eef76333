package biceptest

import (
	"slices"
	"strings"
)

// atStart reports what is known only when other resources are there, in a place
// that has to be known before (compiler error BCP120).
func (c *checker) atStart(e *expr, where string) {
	if e == nil {
		return
	}
	if d := c.symbol(e); d != nil && d.kind == "var" {
		c.atStart(d.value, where)
		return
	}
	if e.kind == member || e.kind == call && e.recv != nil {
		if d := c.symbol(e.recv); d != nil && (d.kind == "resource" || d.kind == "module") {
			if !slices.Contains([]string{"id", "name", "type", "apiVersion"}, e.name) {
				c.problem(e.line, "%s: %s.%s is not known when the deployment starts", where, d.name, e.name)
			}
			return
		}
	}
	for _, part := range e.parts() {
		c.atStart(part, where)
	}
}

// reaches reports whether an expression needs the declaration to be there.
func (c *checker) reaches(e *expr, to *decl, seen map[*decl]bool) bool {
	if e == nil {
		return false
	}
	if d := c.symbol(e); d != nil && d.value != nil && !seen[d] {
		seen[d] = true
		return d == to || c.reaches(d.value, to, seen)
	}
	return slices.ContainsFunc(e.parts(), func(part *expr) bool { return c.reaches(part, to, seen) })
}

// secret says what secret goes into a value, or nothing.
func (c *checker) secret(e *expr) string {
	switch {
	case e == nil:
		return ""
	case e.kind == ident:
		switch d := c.f.byName[e.name]; {
		case d == nil:
		case d.kind == "param" && d.decorator("secure") != nil:
			return "param " + d.name + " is secure"
		case d.kind == "var":
			return c.secret(d.value)
		}
	case e.kind == member && c.typeOf(e).secret:
		return e.name
	case e.kind == call && strings.HasPrefix(e.name, "list"):
		return e.name + "()"
	}
	for _, part := range e.parts() {
		if why := c.secret(part); why != "" {
			return why
		}
	}
	return ""
}
