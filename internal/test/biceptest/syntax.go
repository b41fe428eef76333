package biceptest

import (
	"fmt"
	"strings"
)

// tree is a node as parse.mjs writes it.
type tree struct {
	Type     string
	Line     int
	Field    string
	Text     string
	Bad      bool
	Children []*tree
}

func (t *tree) field(name string) *tree {
	for _, c := range t.Children {
		if c.Field == name {
			return c
		}
	}
	return &tree{Type: "nothing", Line: t.Line}
}

// file is what a file declares.
type file struct {
	name     string
	decls    []*decl
	byName   map[string]*decl
	problems []string
}

// decl is a declaration: param, var, resource, module or output.
type decl struct {
	kind       string
	name       string
	line       int
	typ        string // param, output: type; resource: type@version; module: path
	existing   bool
	condition  *expr
	value      *expr // param: default, may be nil
	decorators []*expr
}

func (d *decl) decorator(name string) *expr {
	for _, e := range d.decorators {
		if e.name == name {
			return e
		}
	}
	return nil
}

type kind int

const (
	unknown kind = iota
	str          // args are texts and interpolated expressions
	text         // name is a part of a str
	number       // name
	boolean      // name
	null
	ident   // name
	object  // props
	array   // args
	call    // name and args; recv where it is a method
	member  // recv and name
	ternary // three args
	binary  // name is the operator; two args
	not     // one arg
)

type expr struct {
	kind  kind
	line  int
	name  string
	recv  *expr
	args  []*expr
	props []property
}

type property struct {
	key   *expr // a str
	value *expr
}

// literal returns the text of a string without interpolation.
func (e *expr) literal() (string, bool) {
	if e == nil || e.kind != str {
		return "", false
	}
	var b strings.Builder
	for _, part := range e.args {
		if part.kind != text {
			return "", false
		}
		b.WriteString(part.name)
	}
	return b.String(), true
}

func (f *file) problem(line int, format string, args ...any) {
	f.problems = append(f.problems, fmt.Sprintf("%s:%d: ", f.name, line)+fmt.Sprintf(format, args...))
}

// newFile turns a tree into declarations.
func newFile(name string, root *tree) *file {
	f := &file{name: name, byName: make(map[string]*decl)}
	if f.syntax(root); len(f.problems) > 0 {
		return f
	}
	var decorators []*expr
	for _, n := range root.Children {
		if n.Type == "decorators" {
			for _, c := range n.Children {
				decorators = append(decorators, f.expr(c.Children[1]))
			}
			continue
		}
		f.declare(n, decorators)
		decorators = nil
	}
	return f
}

// syntax reports the first place that the grammar does not accept.
func (f *file) syntax(n *tree) bool {
	if n.Bad {
		f.problem(n.Line, "syntax error")
		return true
	}
	for _, c := range n.Children {
		if f.syntax(c) {
			return true
		}
	}
	return false
}

func (f *file) declare(n *tree, decorators []*expr) {
	d := &decl{line: n.Line, decorators: decorators}
	rest := n.Children
	switch n.Type {
	case "target_scope_assignment":
		if s, _ := f.expr(rest[2]).literal(); s != "resourceGroup" {
			f.problem(n.Line, "targetScope is %q, only resourceGroup is understood here", s)
		}
		return
	case "parameter_declaration", "output_declaration":
		d.typ = sourceOf(rest[2])
	case "variable_declaration":
	case "resource_declaration", "module_declaration":
		d.typ, _ = f.expr(rest[2]).literal()
	default:
		f.problem(n.Line, "%s is not understood here", n.Type)
		return
	}
	d.kind, d.name = rest[0].Text, rest[1].Text
	for i, c := range rest {
		switch {
		case c.Type == "existing":
			d.existing = true
		case c.Type == "=":
			d.value = f.body(d, rest[i+1])
		}
	}
	if d.kind != "output" {
		if f.byName[d.name] != nil {
			f.problem(n.Line, "%s is declared twice", d.name)
		}
		f.byName[d.name] = d
	}
	f.decls = append(f.decls, d)
}

// body takes the condition off a resource or module.
func (f *file) body(d *decl, n *tree) *expr {
	if n.Type == "if_statement" {
		d.condition = f.expr(n.Children[1])
		n = n.Children[2]
	}
	return f.expr(n)
}

func sourceOf(n *tree) string {
	s := n.Text
	for _, c := range n.Children {
		s += sourceOf(c)
	}
	return s
}

func (f *file) expr(n *tree) *expr {
	e := &expr{line: n.Line, name: n.Text}
	switch n.Type {
	case "string":
		e.kind = str
		for _, c := range n.Children {
			if c.Type == "interpolation" {
				e.args = append(e.args, f.expr(c.Children[1]))
				continue
			}
			part := &expr{kind: text, line: c.Line, name: c.Text}
			if c.Type == "text" {
				part.name = unescape.Replace(c.Text)
			}
			e.args = append(e.args, part)
		}
	case "number":
		e.kind = number
	case "boolean":
		e.kind, e.name = boolean, sourceOf(n)
	case "null":
		e.kind = null
	case "identifier":
		e.kind = ident
	case "object":
		e.kind = object
		f.object(e, n)
	case "array":
		e.kind = array
		e.args = f.list(n)
	case "parenthesized_expression":
		if inner := f.list(n); len(inner) == 1 {
			return inner[0]
		}
	case "member_expression":
		e.kind, e.recv, e.name = member, f.expr(n.field("object")), n.field("property").Text
	case "call_expression":
		e.kind = call
		switch fn := f.expr(n.field("function")); fn.kind {
		case ident:
			e.name = fn.name
		case member:
			e.name, e.recv = fn.name, fn.recv
		default:
			e.kind = unknown
		}
		e.args = f.list(n.field("arguments"))
	case "ternary_expression":
		e.kind = ternary
		e.args = []*expr{f.expr(n.field("condition")), f.expr(n.field("consequence")), f.expr(n.field("alternative"))}
	case "binary_expression":
		e.kind, e.name = binary, n.field("operator").Text
		e.args = []*expr{f.expr(n.field("left")), f.expr(n.field("right"))}
	case "unary_expression":
		if n.field("operator").Text == "!" {
			e.kind, e.args = not, []*expr{f.expr(n.field("argument"))}
		}
	}
	if e.kind == unknown {
		f.problem(n.Line, "%s is not understood here", n.Type)
	}
	return e
}

// list returns the expressions between brackets and commas.
func (f *file) list(n *tree) []*expr {
	var out []*expr
	for _, c := range n.Children {
		if !strings.Contains("()[],", c.Type) {
			out = append(out, f.expr(c))
		}
	}
	return out
}

func (f *file) object(e *expr, n *tree) {
	seen := make(map[string]bool)
	for _, c := range n.Children {
		if c.Type != "object_property" {
			if c.Text == "" {
				f.problem(c.Line, "%s is not understood here", c.Type)
			}
			continue
		}
		if len(c.Children) != 3 {
			f.problem(c.Line, "a nested resource is not understood here")
			continue
		}
		p := property{key: f.expr(c.Children[0]), value: f.expr(c.Children[2])}
		if p.key.kind == ident {
			p.key = &expr{kind: str, line: c.Line, args: []*expr{{kind: text, name: p.key.name}}}
		}
		if key, ok := p.key.literal(); ok {
			if seen[key] {
				f.problem(c.Line, "property %s is set twice", key)
			}
			seen[key] = true
		}
		e.props = append(e.props, p)
	}
}

// get returns the value of a property, or nil.
func (e *expr) get(name string) *expr {
	for _, p := range e.props {
		if key, ok := p.key.literal(); ok && key == name {
			return p.value
		}
	}
	return nil
}

var unescape = strings.NewReplacer(`\'`, `'`, `\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\$`, `$`)
