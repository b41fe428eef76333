// Package biceptest checks Bicep files in tests, where no Bicep compiler is at
// hand: it parses them with a grammar of their language, checks them against a
// table of resource types, and evaluates them for given parameters.
//
//	p := biceptest.Parse(t, sources, types) // needs Node.js, or the test is skipped
//	for _, problem := range p.Check() {
//		t.Error(problem)
//	}
//	d, err := p.Eval("main.bicep", biceptest.Values{"name": "test"}, nil)
//
// It understands as much of Bicep as infra/ uses, and says so where a file uses
// more: nothing passes unseen. The compiler has the last word, in the public
// workflow.
package biceptest
