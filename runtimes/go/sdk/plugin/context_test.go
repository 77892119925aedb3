//go:build go1.24

package plugin

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

// cancelled runs a handler that waits in the way under test, cancels it, and returns what it saw.
func cancelled[T any](t *testing.T, reason uint32, wait func(context.Context, chan<- struct{}) T) T {
	t.Helper()
	ready, seen := make(chan struct{}), make(chan T, 1)
	to := start(func(event functions.Event, _ functions.Context) (string, error) {
		seen <- wait(event.Extensions.Context, ready)
		return "", nil
	}, plainHead, "")
	finished(t, ready)
	to.cancel(reason)
	finished(t, to.over)
	return <-seen
}

func TestCancellationHasAReason(t *testing.T) {
	for reason, expected := range map[uint32][2]error{
		deadlinePassed: {context.DeadlineExceeded, context.DeadlineExceeded},
		clientGone:     {context.Canceled, errClientGone},
		shuttingDown:   {context.Canceled, errShutdown},
	} {
		got := cancelled(t, reason, func(ctx context.Context, ready chan<- struct{}) [2]error {
			done := ctx.Done()
			close(ready)
			<-done
			return [2]error{ctx.Err(), context.Cause(ctx)}
		})
		if got != expected {
			t.Errorf("%d: %v, expected %v", reason, got, expected)
		}
		derived := cancelled(t, reason, func(ctx context.Context, ready chan<- struct{}) [2]error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			close(ready)
			<-ctx.Done()
			return [2]error{ctx.Err(), context.Cause(ctx)}
		})
		if derived != expected {
			t.Errorf("%d, derived: %v, expected %v", reason, derived, expected)
		}
	}
}

func TestErrIsSeenWithoutAskingForDone(t *testing.T) {
	got := cancelled(t, clientGone, func(ctx context.Context, ready chan<- struct{}) error {
		if err := ctx.Err(); err != nil {
			return errors.New("too early")
		}
		close(ready)
		for ctx.Err() == nil {
			runtime.Gosched()
		}
		select {
		case <-ctx.Done():
		default:
			return errors.New("Done is not closed")
		}
		return ctx.Err()
	})
	if got != context.Canceled {
		t.Error(got)
	}
}

func TestAfterFuncRunsUnlessItIsStopped(t *testing.T) {
	ran := make(chan struct{})
	cancelled(t, deadlinePassed, func(ctx context.Context, ready chan<- struct{}) any {
		stop := context.AfterFunc(ctx, func() { t.Error("ran although it was stopped") })
		if !stop() || stop() {
			t.Error("stopping works once")
		}
		context.AfterFunc(ctx, func() { close(ran) })
		close(ready)
		<-ran
		return nil
	})
}

func TestTheContextEndsWithTheHandler(t *testing.T) {
	var kept, derived context.Context
	var cancel context.CancelFunc
	to := start(func(event functions.Event, _ functions.Context) (string, error) {
		kept = event.Extensions.Context
		derived, cancel = context.WithCancel(kept)
		return "", nil
	}, plainHead, "")
	finished(t, to.over)
	defer cancel()
	finished(t, kept.Done())
	finished(t, derived.Done())
	if kept.Err() != context.Canceled || context.Cause(derived) != errReturned {
		t.Error(kept.Err(), context.Cause(derived))
	}
	to.cancel(deadlinePassed)
	if kept.Err() != context.Canceled {
		t.Error("a late cancellation changed it:", kept.Err())
	}
}

func TestDeadline(t *testing.T) {
	var left time.Duration
	call(t, func(event functions.Event, _ functions.Context) (string, error) {
		deadline, ok := event.Extensions.Request.Context().Deadline()
		if !ok {
			t.Error("there is none")
		}
		left = time.Until(deadline)
		return "", nil
	}, plainHead, "")
	if left > time.Minute || left < 30*time.Second {
		t.Error(left)
	}
}
