package functionshost

// Matches reports whether a route stands for a path.
var Matches = matches
