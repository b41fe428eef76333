package biceptest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Check returns what is wrong, as "file:line: what", ordered: syntax, names that
// nothing declares or nobody uses, properties that a type lacks, needs or does
// not let one set, values of the wrong type, parameters of modules, secrets in
// outputs.
func (p *Program) Check() []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		c := &checker{p: p, f: p.files[name], used: make(map[string]bool)}
		if len(c.f.problems) == 0 {
			c.file()
		}
		problems = append(problems, c.f.problems...)
		problems = append(problems, c.found...)
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

type checker struct {
	p     *Program
	f     *file
	used  map[string]bool
	found []string
}

func (c *checker) problem(line int, format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf("%s:%d: ", c.f.name, line)+fmt.Sprintf(format, args...))
}

func (c *checker) file() {
	outputs := make(map[string]bool)
	for _, d := range c.f.decls {
		c.resolve(d.condition)
		c.resolve(d.value)
		for _, e := range d.decorators {
			if !slices.Contains(decorators, e.name) {
				c.problem(e.line, "decorator @%s is not understood here", e.name)
			}
		}
		switch d.kind {
		case "param":
			c.param(d)
		case "resource", "module":
			c.atStart(d.condition, "condition of "+d.name)
			if d.value.kind != object {
				c.problem(d.line, "%s %s is no object", d.kind, d.name)
				continue
			}
			c.atStart(d.value.get("name"), "name of "+d.name)
			if c.reaches(d.value, d, make(map[*decl]bool)) {
				c.problem(d.line, "%s needs itself to be deployed first", d.name)
			}
			if d.kind == "module" {
				c.module(d)
			} else {
				c.resource(d)
			}
		case "output":
			if outputs[d.name] {
				c.problem(d.line, "output %s is declared twice", d.name)
			}
			outputs[d.name] = true
			c.assign(d.value, typeNamed(d.typ), "output "+d.name)
			if why := c.secret(d.value); why != "" {
				c.problem(d.line, "output %s holds a secret: %s", d.name, why)
			}
		}
	}
	for name, d := range c.f.byName {
		if !c.used[name] && (d.kind == "param" || d.kind == "var" || d.existing) {
			c.problem(d.line, "%s %s is not used", d.kind, name)
		}
	}
}

var decorators = []string{"allowed", "description", "maxLength", "maxValue", "minLength", "minValue", "secure"}

func typeNamed(name string) *schema {
	switch name {
	case "string":
		return aString
	case "int":
		return anInt
	case "bool":
		return aBool
	case "array":
		return anArray
	case "object":
		return anyObject
	}
	return nil
}

// declared is the type of a parameter with what its decorators say.
func (c *checker) declared(d *decl) *schema {
	s := *typeNamed(d.typ)
	if e := d.decorator("allowed"); e != nil && s.base == "string" {
		for _, v := range e.args[0].args {
			value, _ := v.literal()
			s.values = append(s.values, value)
		}
	}
	if low, high := d.decorator("minValue"), d.decorator("maxValue"); low != nil && high != nil {
		s.min, _ = strconv.Atoi(low.args[0].name)
		s.max, _ = strconv.Atoi(high.args[0].name)
	}
	return &s
}

func (c *checker) param(d *decl) {
	if typeNamed(d.typ) == nil {
		c.problem(d.line, "type %s is not understood here", d.typ)
		return
	}
	if d.value != nil {
		c.assign(d.value, c.declared(d), "param "+d.name)
	}
}

func (c *checker) resource(d *decl) {
	t := c.p.types[d.typ]
	if t == nil {
		c.problem(d.line, "no resource type %s in the table", d.typ)
		return
	}
	body := &expr{kind: object, line: d.line}
	for _, p := range d.value.props {
		switch key, _ := p.key.literal(); key {
		case "parent", "scope":
			if r := c.symbol(p.value); r == nil || r.kind != "resource" {
				c.problem(p.key.line, "%s of %s is no resource", key, d.name)
			} else if key == "parent" && parentType(d.typ) != withoutVersion(r.typ) {
				c.problem(p.key.line, "%s cannot be the parent of %s", r.typ, d.typ)
			}
		case "dependsOn":
			for _, e := range p.value.args {
				if r := c.symbol(e); r == nil || (r.kind != "resource" && r.kind != "module") {
					c.problem(e.line, "dependsOn of %s names no resource", d.name)
				}
			}
		default:
			body.props = append(body.props, p)
		}
	}
	if parentType(d.typ) != "" && d.value.get("parent") == nil {
		c.problem(d.line, "%s has no parent", d.name)
	}
	if d.existing {
		if len(body.props) != 1 || body.get("name") == nil {
			c.problem(d.line, "%s exists: it has a name and nothing else", d.name)
		}
		return
	}
	c.assign(body, t, d.name)
}

func withoutVersion(typ string) string {
	name, _, _ := strings.Cut(typ, "@")
	return name
}

// parentType returns Provider/a of Provider/a/b, and nothing of Provider/a.
func parentType(typ string) string {
	name := withoutVersion(typ)
	if strings.Count(name, "/") < 2 {
		return ""
	}
	return path.Dir(name)
}

func (c *checker) module(d *decl) {
	f := c.p.files[path.Join(path.Dir(c.f.name), d.typ)]
	if f == nil {
		c.problem(d.line, "no file %s for module %s", d.typ, d.name)
		return
	}
	given := &expr{kind: object}
	for _, p := range d.value.props {
		switch key, _ := p.key.literal(); key {
		case "name":
			c.assign(p.value, aString, "name of module "+d.name)
		case "params":
			given = p.value
		default:
			c.problem(p.key.line, "module %s has no property %s", d.name, key)
		}
	}
	want := &schema{base: "object", props: make(map[string]*schema)}
	for _, p := range f.decls {
		if p.kind == "param" && typeNamed(p.typ) != nil {
			s := c.declared(p)
			s.required = p.value == nil
			want.props[p.name] = s
		}
	}
	given.line = d.line
	c.assign(given, want, "params of module "+d.name)
}

// symbol returns what an identifier stands for, or nil.
func (c *checker) symbol(e *expr) *decl {
	if e.kind != ident {
		return nil
	}
	return c.f.byName[e.name]
}

// resolve reports names, members and functions that do not exist.
func (c *checker) resolve(e *expr) {
	if e == nil {
		return
	}
	for _, part := range e.parts() {
		c.resolve(part)
	}
	switch e.kind {
	case ident:
		if c.f.byName[e.name] == nil {
			c.problem(e.line, "nothing declares %s", e.name)
		}
		c.used[e.name] = true
	case member:
		if t := c.typeOf(e.recv); t.base != "" && t.elem == nil && t.props[e.name] == nil {
			c.problem(e.line, "there is no %s here", e.name)
		}
	case call:
		if e.recv != nil {
			if t := c.typeOf(e.recv); t.base != "" && t.methods[e.name] == nil {
				c.problem(e.line, "there is no function %s here", e.name)
			}
			return
		}
		fn, ok := functions[e.name]
		switch {
		case !ok:
			c.problem(e.line, "function %s is not understood here", e.name)
		case len(e.args) < fn.least || len(e.args) > fn.most:
			c.problem(e.line, "%s takes %d to %d arguments", e.name, fn.least, fn.most)
		}
	}
}

// typeOf is the type of a value as far as it can be told.
func (c *checker) typeOf(e *expr) *schema {
	switch e.kind {
	case str:
		return aString
	case number:
		return anInt
	case boolean, not:
		return aBool
	case binary:
		if e.name == "==" || e.name == "!=" || e.name == "&&" || e.name == "||" {
			return aBool
		}
	case array:
		return anArray
	case object:
		return anyObject
	case ternary:
		if a, b := c.typeOf(e.args[1]), c.typeOf(e.args[2]); a.base == b.base {
			return a
		}
	case ident:
		d := c.f.byName[e.name]
		switch {
		case d == nil:
		case d.kind == "param" && typeNamed(d.typ) != nil:
			return typeNamed(d.typ)
		case d.kind == "var" && !(d.value.kind == ident && d.value.name == d.name):
			return c.typeOf(d.value)
		case d.kind == "resource" && c.p.types[d.typ] != nil:
			return c.p.types[d.typ]
		case d.kind == "module":
			return c.moduleType(d)
		}
	case member:
		if t := c.typeOf(e.recv); t.props[e.name] != nil {
			return t.props[e.name]
		}
	case call:
		if e.recv != nil {
			if t := c.typeOf(e.recv).methods[e.name]; t != nil {
				return t
			}
		} else if fn, ok := functions[e.name]; ok {
			return fn.result
		}
	}
	return anything
}

func (c *checker) moduleType(d *decl) *schema {
	outputs := &schema{base: "object", props: make(map[string]*schema)}
	if f := c.p.files[path.Join(path.Dir(c.f.name), d.typ)]; f != nil {
		for _, o := range f.decls {
			if o.kind == "output" {
				outputs.props[o.name] = typeNamed(o.typ)
			}
		}
	}
	return &schema{base: "object", props: map[string]*schema{"outputs": outputs, "name": aString}}
}

// assign reports where a value does not fit the type.
func (c *checker) assign(e *expr, want *schema, where string) {
	if e == nil || want == nil {
		return
	}
	refuse := func(v any) {
		if why := want.refuses(v); why != "" {
			c.problem(e.line, "%s: %s", where, why)
		}
	}
	switch e.kind {
	case str:
		if s, ok := e.literal(); ok {
			refuse(s)
			return
		}
	case number:
		n, err := strconv.Atoi(e.name)
		if err != nil {
			c.problem(e.line, "%s: %s is no int", where, e.name)
		}
		refuse(n)
		return
	case boolean:
		refuse(e.name == "true")
		return
	case ternary:
		c.assign(e.args[1], want, where)
		c.assign(e.args[2], want, where)
		return
	case object:
		if want.base == "object" {
			c.properties(e, want, where)
			return
		}
	case array:
		if want.base == "array" {
			for _, item := range e.args {
				c.assign(item, want.elem, where+"[]")
			}
			return
		}
	case call:
		if e.recv == nil && (e.name == "concat" || e.name == "union") && want.base != "string" {
			for _, a := range e.args {
				c.assign(a, want, where)
			}
			return
		}
	case ident:
		switch d := c.f.byName[e.name]; {
		case d == nil:
			return
		case d.kind == "var":
			c.assign(d.value, want, where)
			return
		case d.kind == "param" && typeNamed(d.typ) != nil:
			c.assignParam(e, d, want, where)
			return
		}
	}
	if t := c.typeOf(e); t.base != "" && want.base != "" && t.base != want.base {
		c.problem(e.line, "%s is %s, want %s", where, t.base, want.base)
	}
}

func (c *checker) properties(e *expr, want *schema, where string) {
	for _, p := range e.props {
		key, ok := p.key.literal()
		t := want.props[key]
		switch {
		case t != nil && t.readOnly:
			c.problem(p.key.line, "%s.%s cannot be set", where, key)
		case t != nil:
			c.assign(p.value, t, where+"."+key)
		case want.elem != nil:
			c.assign(p.value, want.elem, where+"."+key)
		case !ok:
			c.problem(p.key.line, "%s takes no made-up names", where)
		default:
			c.problem(p.key.line, "%s has no property %s", where, key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.props)) {
		if want.props[name].required && e.get(name) == nil {
			c.problem(e.line, "%s lacks %s", where, name)
		}
	}
}

// assignParam lets a parameter be no wider than what it is used for.
func (c *checker) assignParam(e *expr, d *decl, want *schema, where string) {
	have := c.declared(d)
	if want.base != "" && have.base != want.base {
		c.problem(e.line, "%s is %s, want %s", where, have.base, want.base)
		return
	}
	if want.values != nil && have.values == nil {
		c.problem(d.line, "param %s has no @allowed, but %s takes %s", d.name, where, strings.Join(want.values, ", "))
	}
	for _, v := range have.values {
		if why := want.refuses(v); why != "" {
			c.problem(d.line, "param %s: %s: %s", d.name, where, why)
		}
	}
	if want.max > 0 && (have.max == 0 || have.min < want.min || have.max > want.max) {
		c.problem(d.line, "param %s needs @minValue and @maxValue in %d..%d", d.name, want.min, want.max)
	}
}
