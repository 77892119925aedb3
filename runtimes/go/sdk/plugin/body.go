//go:build go1.24

package plugin

import (
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// bodyOf is the body of a request, and its length where that is known.
func bodyOf(call *exchange, in input, header http.Header) (io.ReadCloser, int64) {
	switch {
	case in.streamed:
		call.body.from, call.body.ctx = call.ctx.from, &call.ctx
		call.body.arrived = make(chan struct{}, 1)
		// The host has checked it, and leaves none that is not true.
		length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
		if err != nil {
			length = -1
		}
		return &call.body, length
	case in.body == "":
		return http.NoBody, 0
	default:
		whole := new(wholeBody)
		whole.Reset(in.body)
		return whole, int64(len(in.body))
	}
}

// wholeBody is a request body that has arrived completely.
type wholeBody struct{ strings.Reader }

var _ io.WriterTo = (*wholeBody)(nil)

func (*wholeBody) Close() error { return nil }

// streamedBody is a request body that is read while its client sends it. The client sends no faster than this is
// read.
type streamedBody struct {
	ctx *callContext
	// Signalled when it is worth asking the host again.
	arrived chan struct{}

	// Held by who reads.
	reading sync.Mutex
	err     error

	// Held while the host is asked, which never takes long.
	mu sync.Mutex
	// Nil once the body is closed: the call may be over, and the host is not asked any more.
	from caller
}

// Read implements io.Reader. It waits for the client, but not longer than the call's context lasts.
func (b *streamedBody) Read(into []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.err != nil || len(into) == 0 {
		return 0, b.err
	}
	// Before the host can say that there is something: it says so once.
	b.ctx.listen()
	for {
		read, err := b.ask(into)
		if read > 0 || err != nil {
			b.err = err
			return read, err
		}
		select {
		case <-b.arrived:
		case <-b.ctx.Done():
			// The host may know better why nothing comes.
			if read, err := b.ask(into); read > 0 || err != nil {
				b.err = err
				return read, err
			}
			b.err = context.Cause(b.ctx)
			return 0, b.err
		}
	}
}

// ask takes what is there. Neither bytes nor an error: there is nothing yet.
func (b *streamedBody) ask(into []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.from == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	switch read := b.from.read(into); read {
	case ended:
		return 0, io.EOF
	case broken:
		return 0, bodyError(b.from.failure())
	default:
		return int(read), nil
	}
}

// arrive ends a wait: there is something to be read, or there will be nothing.
func (b *streamedBody) arrive() {
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// end is told when the call is about to end, also for the many calls that have no such body.
func (b *streamedBody) end() {
	if b.ctx != nil {
		_ = b.Close()
	}
}

// Close implements io.Closer. The rest of the body is not read any more, also by who waits for it already.
func (b *streamedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from = nil
	b.arrive()
	return nil
}

// bodyError is the error that net/http would give, with the host's words where it has none of its own.
func bodyError(kind uint32, limit int64, reason string) error {
	switch kind {
	case bodyTooLarge:
		return &http.MaxBytesError{Limit: limit}
	case bodyIncomplete:
		return &brokenBody{reason, io.ErrUnexpectedEOF}
	case bodySlow:
		return &brokenBody{reason, os.ErrDeadlineExceeded}
	default:
		return &brokenBody{reason, nil}
	}
}

// brokenBody is an error that says more than the one it is.
type brokenBody struct {
	reason string
	is     error
}

func (e *brokenBody) Error() string { return e.reason }

func (e *brokenBody) Unwrap() error { return e.is }
