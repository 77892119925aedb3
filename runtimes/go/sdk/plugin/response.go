//go:build go1.24

package plugin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"sync"
	"unsafe"
)

const (
	// A reply of up to this many bytes goes to the host in one piece, with its length; a longer one as it is written.
	wholeUpTo = 64 << 10
	// The largest piece of a longer one: the host can only say wait between pieces.
	pieceUpTo = 256 << 10
)

// errOver is what writing returns when the handler has returned.
var errOver = errors.New("the handler has returned: its response cannot be written any more")

// response is the http.ResponseWriter of one call, with the rules of net/http. It may be used by several goroutines.
type response struct {
	to     caller
	ctx    *callContext
	header http.Header

	mu sync.Mutex
	// 0 until the status is decided; headers are fixed then.
	status  int
	headers []byte
	// Whether the media type is to be guessed from the first bytes.
	sniff bool
	// What is written and not sent.
	pending []byte
	// The head is sent.
	begun bool
	// The handler has returned.
	over bool
	// The host has said wait; room is signalled when it takes pieces again.
	full bool
	room chan struct{}
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
)

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header)
	}
	return r.header
}

// WriteHeader implements http.ResponseWriter. Informational statuses are the server's business and have no effect.
func (r *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
		log.Print("funchost: WriteHeader after the handler has returned has no effect")
	case r.status != 0:
		log.Printf("funchost: WriteHeader(%d) has no effect: the status is %d already", status, r.status)
	case status >= 200:
		r.decide(status)
	}
}

// Write implements http.ResponseWriter. It waits while the client takes nothing.
func (r *response) Write(data []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.write(data)
}

// WriteString implements io.StringWriter.
func (r *response) WriteString(data string) (int, error) {
	return r.Write(bytesOf(data))
}

// Flush implements http.Flusher: what is written so far is sent now.
func (r *response) Flush() { _ = r.FlushError() }

// EnableFullDuplex is what http.ResponseController uses: the body can always be read while the response is written.
func (r *response) EnableFullDuplex() error { return nil }

// FlushError is what http.ResponseController uses.
func (r *response) FlushError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return errOver
	}
	if r.status == 0 {
		r.decide(http.StatusOK)
	}
	return r.send(nil)
}

// decide fixes the status and the headers as they are now.
func (r *response) decide(status int) {
	r.status = status
	_, typed := r.header["Content-Type"]
	r.sniff = !typed && r.header.Get("Content-Encoding") == ""
	if len(r.header) > 0 {
		r.headers = encodeHeaders(r.header)
	}
}

// hasBody tells whether the status allows a body.
func (r *response) hasBody() bool {
	return r.status != http.StatusNoContent && r.status != http.StatusNotModified
}

func (r *response) write(data []byte) (int, error) {
	if r.over {
		return 0, errOver
	}
	if r.status == 0 {
		r.decide(http.StatusOK)
	}
	if len(data) == 0 {
		return 0, nil
	}
	if !r.hasBody() {
		return 0, http.ErrBodyNotAllowed
	}
	if len(r.pending)+len(data) <= wholeUpTo {
		if r.pending == nil {
			r.pending = takeBuffer()
		}
		r.pending = append(r.pending, data...)
		return len(data), nil
	}
	if err := r.send(data); err != nil {
		return 0, err
	}
	return len(data), nil
}

// send sends the head, if that has not been done, what is pending, and then more.
func (r *response) send(more []byte) error {
	if !r.begun {
		r.begun = true
		// Before the host can say that there is room: it says so once.
		r.ctx.listen()
		r.to.begin(r.status, r.headers, r.mediaType(r.pending, more))
	}
	pending := r.pending
	r.pending = r.pending[:0]
	if err := r.sendPieces(pending); err != nil {
		return err
	}
	return r.sendPieces(more)
}

func (r *response) sendPieces(data []byte) error {
	for len(data) > 0 {
		if r.full {
			if err := r.awaitRoom(); err != nil {
				return err
			}
			r.full = false
		}
		piece := data[:min(len(data), pieceUpTo)]
		switch r.to.chunk(piece) {
		case goOn:
		case wait:
			r.full = true
		default:
			if cause := context.Cause(r.ctx); cause != nil {
				return cause
			}
			return errClientGone
		}
		data = data[len(piece):]
	}
	return nil
}

// awaitRoom waits until the host takes pieces again. The call is cancelled when that will never happen.
func (r *response) awaitRoom() error {
	select {
	case <-r.room:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// makeRoom ends awaitRoom. The host says so once for every time it had said wait.
func (r *response) makeRoom() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// mediaType is the type to announce for a body that begins with these bytes; empty when the function has named one,
// or none is due.
func (r *response) mediaType(start, more []byte) string {
	if len(start) == 0 {
		start = more
	}
	if !r.sniff || len(start) == 0 {
		return ""
	}
	return http.DetectContentType(start)
}

// finish sends what the handler returned after what it wrote, and ends the call.
func (r *response) finish(returned string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == 0 {
		r.decide(http.StatusOK)
	}
	last := bytesOf(returned)
	if !r.hasBody() {
		last = nil
	}
	if r.begun {
		_ = r.send(last) // The host knows best that nobody reads any more.
		giveBuffer(r.close())
		r.to.end()
		return
	}
	// The commonest reply by far is nothing but the returned string: it goes out without being copied here.
	if len(r.pending) > 0 {
		r.pending = append(r.pending, last...)
		last = r.pending
	}
	mediaType := r.mediaType(last, nil)
	buffer := r.close()
	r.to.reply(r.status, r.headers, mediaType, last)
	giveBuffer(buffer)
}

// abandon ends the call with a failure instead of a reply.
func (r *response) abandon(kind, message, stack string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	giveBuffer(r.close())
	r.to.fail(kind, message, stack)
}

// close lets nothing more be written, and the caller be asked nothing more. The buffer is the only one left to use.
func (r *response) close() (buffer []byte) {
	r.ctx.close()
	r.ctx.call.body.end()
	r.over = true
	buffer, r.pending = r.pending, nil
	return buffer
}

// encodeHeaders writes headers as funchost.h describes them, in alphabetical order.
func encodeHeaders(headers http.Header) []byte {
	names := make([]string, 0, len(headers))
	size := 0
	for name, values := range headers {
		names = append(names, name)
		for _, value := range values {
			size += 8 + len(name) + len(value)
		}
	}
	slices.Sort(names)
	encoded := make([]byte, 0, size)
	for _, name := range names {
		for _, value := range headers[name] {
			encoded = binary.LittleEndian.AppendUint32(encoded, uint32(len(name)))
			encoded = binary.LittleEndian.AppendUint32(encoded, uint32(len(value)))
			encoded = append(encoded, name...)
			encoded = append(encoded, value...)
		}
	}
	return encoded
}

// bytesOf is text as bytes that must not be written to.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text))
}

// buffers holds what responses were collected in.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func takeBuffer() []byte { return (*buffers.Get().(*[]byte))[:0] }

func giveBuffer(buffer []byte) {
	// A large one would stay in memory for no good reason.
	if cap(buffer) > 0 && cap(buffer) <= 2*wholeUpTo {
		buffers.Put(&buffer)
	}
}
