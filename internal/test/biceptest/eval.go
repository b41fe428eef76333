package biceptest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Values are values by name: string, int, bool, []any, Values or nil.
type Values = map[string]any

// Deployment is what a file comes to for given parameters.
type Deployment struct {
	Resources map[string]Resource // by symbol; also those that exist
	Modules   map[string]*Deployment
	Outputs   Values
}

// Resource is one resource of a deployment.
type Resource struct {
	Type     string // type@version
	Existing bool
	Parent   string // symbol
	Scope    string // symbol
	Body     Values
}

// Eval computes a file. What Azure alone knows, such as the host name of a
// resource, comes from known under its path, "app.properties.defaultHostName",
// and is <path> where known does not say.
func (p *Program) Eval(name string, params, known Values) (*Deployment, error) {
	f := p.files[name]
	if f == nil {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if len(f.problems) > 0 {
		return nil, errors.New(f.problems[0])
	}
	v := &evaluator{f: f, params: params, known: known, modules: make(Values)}
	for given := range params {
		if d := f.byName[given]; d == nil || d.kind != "param" {
			return nil, fmt.Errorf("%s has no parameter %s", name, given)
		}
	}
	out := &Deployment{Resources: make(map[string]Resource), Modules: make(map[string]*Deployment), Outputs: make(Values)}
	for _, d := range f.decls {
		if d.condition != nil && v.value(d.condition) != true {
			continue
		}
		switch d.kind {
		case "param":
			v.param(d)
		case "output":
			out.Outputs[d.name] = v.value(d.value)
		case "resource":
			r := Resource{Type: d.typ, Existing: d.existing, Body: make(Values)}
			for _, p := range d.value.props {
				switch key, _ := p.key.literal(); key {
				case "parent":
					r.Parent = p.value.name
				case "scope":
					r.Scope = p.value.name
				case "dependsOn":
				default:
					r.Body[key] = v.value(p.value)
				}
			}
			out.Resources[d.name] = r
		case "module":
			given, _ := v.value(d.value.get("params")).(Values)
			m, err := p.Eval(path.Join(path.Dir(name), d.typ), given, known)
			if err != nil {
				return nil, err
			}
			out.Modules[d.name] = m
			v.modules[d.name] = Values{"outputs": m.Outputs}
		}
	}
	return out, v.err
}

type evaluator struct {
	f      *file
	params Values
	known  Values
	// modules are those that have been evaluated.
	modules Values
	depth   int
	err     error // the first
}

func (v *evaluator) fail(line int, format string, args ...any) any {
	if v.err == nil {
		v.err = fmt.Errorf("%s:%d: %s", v.f.name, line, fmt.Sprintf(format, args...))
	}
	return nil
}

// param returns the value of a parameter, which must be one that it allows.
func (v *evaluator) param(d *decl) any {
	value, ok := v.params[d.name]
	if !ok {
		if d.value == nil {
			return v.fail(d.line, "param %s is not given", d.name)
		}
		value = v.value(d.value)
	}
	if e := d.decorator("allowed"); e != nil && !slices.Contains(v.value(e.args[0]).([]any), value) {
		return v.fail(d.line, "param %s cannot be %v", d.name, value)
	}
	return value
}

// reference is a place in a resource whose value may be known only to Azure.
type reference struct {
	d    *decl
	path []string
}

// value computes an expression to the end.
func (v *evaluator) value(e *expr) any {
	x := v.eval(e)
	r, ok := x.(reference)
	if !ok {
		return x
	}
	if e := r.d.value.get(r.path[0]); len(r.path) == 1 && e != nil {
		return v.value(e)
	}
	where := r.d.name + "." + strings.Join(r.path, ".")
	if x, ok := v.known[where]; ok {
		return x
	}
	return "<" + where + ">"
}

func (v *evaluator) eval(e *expr) any {
	if e == nil {
		return nil
	}
	if v.depth++; v.depth > 100 {
		return v.fail(e.line, "declarations go round in a circle")
	}
	defer func() { v.depth-- }()
	switch e.kind {
	case str:
		var b strings.Builder
		for _, part := range e.args {
			if part.kind == text {
				b.WriteString(part.name)
			} else {
				fmt.Fprint(&b, v.value(part))
			}
		}
		return b.String()
	case number:
		n, _ := strconv.Atoi(e.name)
		return n
	case boolean:
		return e.name == "true"
	case null:
		return nil
	case object:
		out := make(Values)
		for _, p := range e.props {
			out[v.value(p.key).(string)] = v.value(p.value)
		}
		return out
	case array:
		out := []any{}
		for _, a := range e.args {
			out = append(out, v.value(a))
		}
		return out
	case ternary:
		if v.value(e.args[0]) == true {
			return v.value(e.args[1])
		}
		return v.value(e.args[2])
	case not:
		return v.value(e.args[0]) != true
	case binary:
		a, b := v.value(e.args[0]), v.value(e.args[1])
		switch e.name {
		case "==":
			return a == b
		case "!=":
			return a != b
		case ">":
			x, ok1 := a.(int)
			y, ok2 := b.(int)
			if ok1 && ok2 {
				return x > y
			}
		case "&&":
			return a == true && b == true
		case "||":
			return a == true || b == true
		}
	case ident:
		switch d := v.f.byName[e.name]; {
		case d == nil:
		case d.kind == "param":
			return v.param(d)
		case d.kind == "var":
			return v.value(d.value)
		case d.kind == "resource":
			return reference{d: d}
		case d.kind == "module" && v.modules[d.name] != nil:
			return v.modules[d.name]
		}
	case member:
		switch r := v.eval(e.recv).(type) {
		case reference:
			return reference{r.d, append(slices.Clone(r.path), e.name)}
		case Values:
			return r[e.name]
		}
	case call:
		if r, ok := v.eval(e.recv).(reference); ok {
			return reference{r.d, append(slices.Clone(r.path), e.name+"()")}
		}
		fn, ok := functions[e.name]
		if !ok || e.recv != nil || len(e.args) < fn.least || len(e.args) > fn.most {
			break
		}
		args := make([]any, len(e.args))
		for i, a := range e.args {
			args[i] = v.value(a)
		}
		if e.name == "fail" {
			return v.fail(e.line, "%v", args[0])
		}
		return fn.eval(args)
	}
	return v.fail(e.line, "%s cannot be evaluated here", cmp.Or(e.name, "this expression"))
}

// functions are those that infra/ uses.
var functions = map[string]struct {
	least, most int
	eval        func(args []any) any
}{
	"concat": {1, 32, func(args []any) any {
		out := []any{}
		for _, a := range args {
			items, _ := a.([]any)
			out = append(out, items...)
		}
		return out
	}},
	"empty": {1, 1, func(args []any) any {
		switch a := args[0].(type) {
		case string:
			return a == ""
		case []any:
			return len(a) == 0
		case Values:
			return len(a) == 0
		}
		return args[0] == nil
	}},
	"environment": {0, 0, func([]any) any {
		return Values{"authentication": Values{"loginEndpoint": "https://login.microsoftonline.com/"}}
	}},
	"fail":    {1, 1, nil}, // evaluated by value itself
	"guid":    {1, 10, func(args []any) any { return fmt.Sprintf("<guid %s>", fmt.Sprint(args...)) }},
	"newGuid": {0, 0, func([]any) any { return "6d1f0a3e-2b47-4c58-9e6f-7a8b9c0d1e2f" }},
	"resourceGroup": {0, 0, func([]any) any {
		return Values{"id": "<resourceGroup.id>", "name": "<resourceGroup.name>", "location": "<resourceGroup.location>"}
	}},
	"subscription": {0, 0, func([]any) any {
		return Values{"id": "<subscription.id>", "subscriptionId": "<subscription.subscriptionId>", "tenantId": "<subscription.tenantId>"}
	}},
	"split": {2, 2, func(args []any) any {
		out := []any{}
		for part := range strings.SplitSeq(fmt.Sprint(args[0]), fmt.Sprint(args[1])) {
			out = append(out, part)
		}
		return out
	}},
	"tenant": {0, 0, func([]any) any { return Values{"tenantId": "<tenant.tenantId>"} }},
	"subscriptionResourceId": {2, 10, func(args []any) any {
		parts := make([]string, len(args))
		for i, a := range args {
			parts[i] = fmt.Sprint(a)
		}
		return "/" + strings.Join(parts, "/")
	}},
	"union": {2, 32, func(args []any) any {
		out := make(Values)
		for _, a := range args {
			members, _ := a.(Values)
			maps.Copy(out, members)
		}
		return out
	}},
	// Thirteen letters and digits, as Azure's.
	"uniqueString": {1, 10, func([]any) any { return "pw5dmmufucj6a" }},
}
