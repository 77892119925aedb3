package kubeless

import (
	"context"
	"fmt"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

// Patient works for as long as the query's `work` says, but no longer than the call may take.
func Patient(event functions.Event, about functions.Context) (string, error) {
	work, err := time.ParseDuration(event.Extensions.Request.URL.Query().Get("work"))
	if err != nil {
		work = time.Millisecond
	}
	ctx := event.Extensions.Context
	if err := workFor(ctx, work); err != nil {
		// The caller has been answered 408 by now; this is for the log.
		fmt.Println("gave up:", context.Cause(ctx))
		return "", err
	}
	return fmt.Sprintf("%s was done within %s s", about.FunctionName, about.Timeout), nil
}

// workFor stands for a query or a request to another service: anything that takes a context.
func workFor(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
