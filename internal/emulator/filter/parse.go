package filter

import "strconv"

// op is the operation of a node.
type op uint8

const (
	opLiteral op = iota // val
	opNumber            // a number that is no 32-bit integer
	opName              // an identifier; check turns it into one of the next four
	opUserID
	opConnectionID
	opProtocol
	opGroups
	opCall // a function named text
	opNot
	opAnd
	opOr
	opEq
	opNe
	opGt
	opGe
	opLt
	opLe
	opIn   // args[0] in args[1]
	opList // the right side of in: args, and text as it was written
)

// node is an expression.
type node struct {
	op   op
	text string // as written: of a name, a number, a list
	val  value
	args []*node

	// Set by check.
	kind kind               // of the value, when it is not null
	null bool               // the value is null for an anonymous connection
	fn   *function          // of a call
	set  map[value]struct{} // of a list of literals
}

var comparisons = map[string]op{"eq": opEq, "ne": opNe, "gt": opGt, "ge": opGe, "lt": opLt, "le": opLe}

// Microsoft.OData descends one level for each rule of its grammar, and the
// service lets it descend 100. Counting as it does rejects the filters that the
// service rejects: those with more than eleven parentheses inside each other.
const (
	maxDepth        = 100
	expressionDepth = 6 // expression, or, and, comparison, additive, multiplicative
)

// parser is a recursive descent over the tokens of text. It keeps the first
// error, after which every token is the end.
type parser struct {
	text  string
	tok   token
	depth int
	err   *Error
}

func parse(text string) (*node, *Error) {
	p := parser{text: text}
	p.next()
	n := p.expression()
	if p.tok.kind != tokEnd {
		p.misplaced()
	}
	return n, p.err
}

func (p *parser) fail(reason string) {
	if p.err == nil {
		p.err = &Error{Expression: p.text, Reason: reason}
	}
	p.tok = token{pos: len(p.text), end: len(p.text)}
}

func (p *parser) failAt(reason string, offset int) {
	p.fail(reason + " " + strconv.Itoa(units(p.text[:offset])) + " in '" + p.text + "'.")
}

// misplaced rejects the current token.
func (p *parser) misplaced() { p.failAt("Syntax error at position", p.tok.end) }

func (p *parser) enter(levels int) {
	if p.depth += levels; p.depth > maxDepth {
		p.fail("Recursion depth exceeded allowed limit.")
	}
}

func (p *parser) leave(levels int) { p.depth -= levels }

// keyword steps over the word if it comes next.
func (p *parser) keyword(word string) bool {
	if p.tok.kind != tokName || p.tok.text != word {
		return false
	}
	p.next()
	return true
}

func (p *parser) expression() *node {
	p.enter(expressionDepth)
	defer p.leave(expressionDepth)
	left := p.conjunction()
	for p.keyword("or") {
		left = &node{op: opOr, args: []*node{left, p.conjunction()}}
	}
	return left
}

func (p *parser) conjunction() *node {
	left := p.comparison()
	for p.keyword("and") {
		left = &node{op: opAnd, args: []*node{left, p.comparison()}}
	}
	return left
}

func (p *parser) comparison() *node {
	left := p.unary()
	for p.tok.kind == tokName {
		op, ok := comparisons[p.tok.text]
		if !ok {
			break
		}
		p.next()
		left = &node{op: op, args: []*node{left, p.unary()}}
	}
	return left
}

func (p *parser) unary() *node {
	p.enter(1)
	defer p.leave(1)
	if p.keyword("not") {
		return &node{op: opNot, args: []*node{p.unary()}}
	}
	left := p.primary()
	for p.keyword("in") {
		right := p.primary
		if p.tok.kind == tokOpen {
			right = p.list
		}
		left = &node{op: opIn, args: []*node{left, right()}}
	}
	return left
}

// list parses the parenthesized right side of in. One collection alone in the
// parentheses is that collection, as the reference's grammar has it.
func (p *parser) list() *node {
	open := p.tok.pos
	p.next()
	var items []*node
	for p.err == nil && (p.tok.kind != tokClose || items != nil) {
		items = append(items, p.primary())
		if p.tok.kind != tokComma {
			break
		}
		p.next()
	}
	end := p.tok.end
	p.closeList()
	if p.err == nil && len(items) == 1 && identify(items[0]) == opGroups {
		return items[0]
	}
	return &node{op: opList, text: p.text[open:end], args: items}
}

func (p *parser) closeList() {
	if p.tok.kind != tokClose {
		p.failAt("')' or ',' expected at position", p.tok.pos)
	}
	p.next()
}

func (p *parser) primary() *node {
	p.enter(1)
	defer p.leave(1)
	n := p.operand()
	if p.tok.kind == tokOther && p.tok.text == "/" {
		p.next()
		switch {
		case p.keyword("any"):
			p.fail("Token 'Any' is not supported.")
		case p.keyword("all"):
			p.fail("Token 'All' is not supported.")
		default:
			p.misplaced()
		}
	}
	return n
}

func (p *parser) operand() *node {
	t := p.tok
	switch t.kind {
	case tokString, tokInt:
		p.next()
		return &node{op: opLiteral, val: t.val}
	case tokNumber:
		p.next()
		return &node{op: opNumber, text: t.text}
	case tokName:
		p.next()
		switch t.text {
		case "null":
			return &node{op: opLiteral}
		case "true":
			return &node{op: opLiteral, val: yes}
		case "false":
			return &node{op: opLiteral, val: no}
		}
		// A function's parenthesis follows its name without a space.
		if p.tok.kind == tokOpen && p.tok.pos == t.end {
			return &node{op: opCall, text: t.text, args: p.arguments()}
		}
		return &node{op: opName, text: t.text}
	case tokOpen:
		p.next()
		n := p.expression()
		if p.tok.kind != tokClose {
			p.failAt("')' or operator expected at position", p.tok.pos)
		}
		p.next()
		return n
	}
	p.failAt("Expression expected at position", t.pos)
	return &node{}
}

func (p *parser) arguments() []*node {
	p.next()
	var args []*node
	for p.err == nil && (p.tok.kind != tokClose || args != nil) {
		args = append(args, p.expression())
		if p.tok.kind != tokComma {
			break
		}
		p.next()
	}
	p.closeList()
	return args
}
