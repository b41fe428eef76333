package wire

// Members returns what members finds in a valid JSON object.
func Members(object []byte) map[string][]byte {
	m := make(map[string][]byte)
	for name, value := range members(object[skipSpace(object, 0):]) {
		m[string(name)] = value
	}
	return m
}
