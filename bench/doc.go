// Command bench measures this repository side by side with its peers and with
// ceilings: the least that any program must do for the same work.
//
//	cd bench && go run .              # everything, results in RESULTS.md
//	cd bench && go run . -quick       # one short round, to see that it works
//	cd bench && go run . -rows fanout # one row
//	cd bench && go run . -rows fanout,memory,growth -against v1.0.0
//	                                  # this emulator and that of an earlier commit
//
// A row is a piece of work that several contenders do. They take turns, A-B-C,
// A-B-C, round after round, each as a process of its own whose CPU seconds are
// read from the kernel, so that the load generator's cost is nobody's. A figure
// is the median of the rounds, with the smallest and the largest; a
// claim is a ratio of medians from one run.
//
// In the rows of the event handler, whose times are compared under load, server
// and load generator have cores of their own; in the others they share them.
//
// Every run checks its work: each answer is read, each message is counted, and
// a run that lost, doubled or reordered one fails instead of printing a figure.
//
// The command needs Linux (it reads /proc) and Node.js for the JavaScript peers.
package main
