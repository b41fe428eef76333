package filter

// kind is a type of the language.
type kind uint8

const (
	null kind = iota
	boolean
	integer
	str
	collection
)

// String returns the type's name in the service's messages.
func (k kind) String() string {
	return [...]string{"null", "bool", "int", "string", "collection"}[k]
}

// value is what an expression has for one connection. The zero value is null,
// and two values are equal for the language when they are for Go.
type value struct {
	kind kind
	num  int // of an integer; 1 for true; the size of a collection
	str  string
}

var (
	yes = value{kind: boolean, num: 1}
	no  = value{kind: boolean}
)

func truth(b bool) value {
	if b {
		return yes
	}
	return no
}

func number(n int) value  { return value{kind: integer, num: n} }
func text(s string) value { return value{kind: str, str: s} }

// eval evaluates a checked node.
func eval(n *node, s Subject) value {
	switch n.op {
	case opLiteral:
		return n.val
	case opUserID:
		if id, ok := s.UserID(); ok {
			return text(id)
		}
	case opConnectionID:
		return text(s.ConnectionID())
	case opProtocol:
		if p := s.Protocol(); p != "" {
			return text(p)
		}
	case opGroups:
		return value{kind: collection, num: s.GroupCount()}
	case opCall:
		var a [3]value
		for i, arg := range n.args {
			a[i] = eval(arg, s)
		}
		return n.fn.call(len(n.args), a)
	case opNot:
		return truth(eval(n.args[0], s) != yes)
	case opAnd:
		return truth(eval(n.args[0], s) == yes && eval(n.args[1], s) == yes)
	case opOr:
		return truth(eval(n.args[0], s) == yes || eval(n.args[1], s) == yes)
	case opEq:
		return truth(eval(n.args[0], s) == eval(n.args[1], s))
	case opNe:
		return truth(eval(n.args[0], s) != eval(n.args[1], s))
	case opGt, opGe, opLt, opLe:
		return truth(ordered(n.op, eval(n.args[0], s), eval(n.args[1], s)))
	case opIn:
		return truth(among(eval(n.args[0], s), n.args[1], s))
	}
	return value{}
}

// ordered compares two integers; with null every order is false.
func ordered(op op, a, b value) bool {
	if a.kind != integer || b.kind != integer {
		return false
	}
	switch op {
	case opGt:
		return a.num > b.num
	case opGe:
		return a.num >= b.num
	case opLt:
		return a.num < b.num
	default:
		return a.num <= b.num
	}
}

func among(v value, list *node, s Subject) bool {
	if list.op == opGroups {
		return v.kind == str && s.InGroup(v.str)
	}
	if list.set != nil {
		_, ok := list.set[v]
		return ok
	}
	for _, item := range list.args {
		if eval(item, s) == v {
			return true
		}
	}
	return false
}
