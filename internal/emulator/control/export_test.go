package control

// Operation is a row of the table of operations.
type Operation struct {
	Method, Pattern string
	Query           []string
	Read, Open      bool
}

// Operations returns the table.
func Operations() []Operation {
	var out []Operation
	for _, op := range operations {
		out = append(out, Operation{op.method, op.pattern, op.query, op.read, op.open})
	}
	return out
}

// Description is the OpenAPI document.
var Description = description
