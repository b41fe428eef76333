package functionshost

// Matches reports whether a route matches a path.
var Matches = matches
