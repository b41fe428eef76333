// Package biceptest evaluates Bicep files in tests, where no Bicep compiler is at
// hand: it parses them with a grammar of their language and computes what they
// deploy for given parameters.
//
//	p := biceptest.Parse(t, sources)[0] // needs Node.js, or the test is skipped
//	d, err := p.Eval("main.bicep", biceptest.Values{"name": "test"}, nil)
//
// It understands as much of Bicep as infra/ uses, and says so where a file uses
// more. Whether a resource type has a property is for the compiler, which runs in
// the public workflow.
package biceptest
