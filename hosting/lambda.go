package hosting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// maxLambdaResponse is the size limit of a buffered response, as encoded.
// A larger one is rejected by the runtime API, and the AWS library exits. (AWS Lambda developer guide, Lambda quotas.)
const maxLambdaResponse = 6 << 20

// runLambda serves invocations until ctx is cancelled. There is nothing to
// drain then: the platform takes an instance away between invocations.
func runLambda(ctx context.Context, h http.Handler, o Options) error {
	o.Logger.InfoContext(ctx, "listening", "mode", "AWS Lambda")
	// The AWS library's loop has no way to return: if it fails it exits. It therefore gets its own goroutine.
	go lambda.StartWithOptions(lambdaHandler{h, o}, lambda.WithContext(context.WithoutCancel(ctx)))
	<-ctx.Done()
	return nil
}

// lambdaHandler is a lambda.Handler: one event in, one response out.
type lambdaHandler struct {
	http.Handler
	Options
}

// Invoke handles one event. It returns an error, which the client sees as 502,
// only if the event is not an HTTP request.
func (l lambdaHandler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if c, ok := lambdacontext.FromContext(ctx); ok {
		ctx = WithInvocationID(ctx, c.AwsRequestID)
	}
	r, err := decodeEvent(ctx, payload)
	if errors.Is(err, errBody) {
		l.Logger.WarnContext(ctx, "request rejected", "error", err.Error())
		return l.encode(ctx, plainResponse(http.StatusBadRequest))
	}
	if err != nil {
		return nil, fmt.Errorf("hosting: %w", err)
	}
	return l.encode(ctx, l.serve(r))
}

// serve calls the handler. The response to a panic is 500: it would
// otherwise end the process, and the next request would wait for a cold start.
func (l lambdaHandler) serve(r *http.Request) (response lambdaResponse) {
	defer func() {
		if v := recover(); v != nil {
			logPanic(r.Context(), l.Logger, r, v)
			response = plainResponse(http.StatusInternalServerError)
		}
	}()
	w := newRecorder(r.Method)
	l.ServeHTTP(w, r)
	return w.response()
}

func (l lambdaHandler) encode(ctx context.Context, response lambdaResponse) ([]byte, error) {
	out, err := json.Marshal(response)
	if err == nil && len(out) > maxLambdaResponse {
		l.Logger.ErrorContext(ctx, "the response is too large for Lambda: 500 is sent instead",
			"bytes", len(out), "limit", maxLambdaResponse)
		out, err = json.Marshal(plainResponse(http.StatusInternalServerError))
	}
	return out, err
}
