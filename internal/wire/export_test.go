package wire

// Members returns what members finds in a valid JSON object.
func Members(object []byte) map[string][]byte {
	m := make(map[string][]byte)
	for name, value := range members(object[skipSpace(object, 0):]) {
		m[string(name)] = value
	}
	return m
}

// KeyNames are the member names that keyOf must find.
var KeyNames = keyNames

// KeyName returns the name of the key that keyOf finds for a name.
func KeyName(name string) string {
	k, ok := keyOf([]byte(name))
	if !ok {
		return ""
	}
	return keyNames[k]
}
