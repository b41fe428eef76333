package hosting

import "net/http"

// headerInvocation is set by the Functions host on every request that it
// passes on, over any value that the client sent.
const headerInvocation = "X-Azure-Functions-InvocationId"

// functionsHandler is h as the Functions host needs it: the invocation's id is
// in the context, and the host's own probes are answered here.
func functionsHandler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(headerInvocation)
		// The host probes GET / every 25 ms until there is any answer, and now
		// and then later. A client's request for / carries an invocation id.
		if id == "" && r.Method == http.MethodGet && r.URL.Path == "/" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if id != "" {
			r = r.WithContext(WithInvocationID(r.Context(), id))
		}
		h.ServeHTTP(w, r)
	})
}
