//go:build go1.24

package plugin

import (
	"context"
	"errors"
	"sync"
	"time"
)

// What context.Cause says; context.Context.Err has only two words.
var (
	errClientGone = errors.New("the client closed the connection")
	errShutdown   = errors.New("the server shuts down")
	errReturned   = errors.New("the handler has returned")
)

// callContext is the context.Context of one call. The host owns the clock and says when the call is cancelled, so
// there is no timer here, and nothing is set up before the function asks for it.
type callContext struct {
	call     *exchange
	deadline time.Time

	mu sync.Mutex
	// Nil once the call is over.
	from caller
	err  error
	// Carries the cause, for context.Cause, once err is set.
	inner     context.Context
	done      chan struct{}
	listening bool
	after     map[*func()]struct{}
}

var _ context.Context = (*callContext)(nil)

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *callContext) Err() error {
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	done := c.done
	c.mu.Unlock()
	c.listen()
	return done
}

// Value has nothing of its own. Package context asks for a private key to find the cause of a cancellation.
func (c *callContext) Value(key any) any {
	c.mu.Lock()
	inner := c.inner
	c.mu.Unlock()
	if inner == nil {
		return nil
	}
	return inner.Value(key)
}

// AfterFunc is what package context looks for to tie a derived context to this one without a goroutine.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = map[*func()]struct{}{}
	}
	key := &f
	c.after[key] = struct{}{}
	c.mu.Unlock()
	c.listen()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.after[key]
		delete(c.after, key)
		return there
	}
}

// listen asks to be told of events, and catches up with what may have come before.
func (c *callContext) listen() {
	c.mu.Lock()
	subscribe := !c.listening && c.from != nil
	if subscribe {
		c.listening = true
		listeners.Lock()
		listeners.calls[c.from] = c.call
		listeners.Unlock()
	}
	c.mu.Unlock()
	if subscribe {
		c.look()
	}
}

// look takes over the host's word on whether the call is cancelled.
func (c *callContext) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from == nil || c.err != nil {
		return
	}
	switch c.from.cancelled() {
	case 0:
	case deadlinePassed:
		c.cancel(context.DeadlineExceeded, context.DeadlineExceeded)
	case shuttingDown:
		c.cancel(context.Canceled, errShutdown)
	default:
		c.cancel(context.Canceled, errClientGone)
	}
}

// close ends the context with the call. The caller is not asked for anything afterwards.
func (c *callContext) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listening {
		listeners.Lock()
		delete(listeners.calls, c.from)
		listeners.Unlock()
	}
	c.from = nil
	if c.err == nil {
		c.cancel(context.Canceled, errReturned)
	}
}

// cancel is called with the lock held, once.
func (c *callContext) cancel(err, cause error) {
	c.err = err
	if c.done == nil && c.after == nil && cause == errReturned {
		return // Nobody has ever looked, and nobody is told more than that it is over.
	}
	inner, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	c.inner = inner
	if c.done != nil {
		close(c.done)
	}
	for f := range c.after {
		go (*f)()
	}
	c.after = nil
}
