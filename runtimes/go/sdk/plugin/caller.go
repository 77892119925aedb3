//go:build go1.24

package plugin

import "sync"

// caller is who waits for a call's reply: the host, or a recorder in the tests.
type caller interface {
	// cancelled is 0 while the caller waits, then one of the reasons below.
	cancelled() uint32
	// reply sends everything at once and ends the call.
	reply(status int, headers []byte, mediaType string, body []byte)
	// begin sends the head of a reply whose body follows in chunks.
	begin(status int, headers []byte, mediaType string)
	// chunk sends a piece of the body.
	chunk(piece []byte) verdict
	// read gives the next bytes of a streamed body, or one of the words below when there are none.
	read(into []byte) int64
	// failure tells why a streamed body is broken.
	failure() (kind uint32, limit int64, reason string)
	// end says that the body is complete and ends the call.
	end()
	// fail reports an error or a panic and ends the call.
	fail(kind, message, stack string)
}

// The reasons for cancelling a call, as in funchost.h.
const (
	deadlinePassed uint32 = 1
	clientGone     uint32 = 2
	shuttingDown   uint32 = 3
)

// verdict is what the host says to a piece of a body, as in funchost.h.
type verdict uint32

const (
	goOn verdict = 0
	wait verdict = 1
	gone verdict = 2
)

// What read says when it has no bytes, as in funchost.h.
const (
	noneYet int64 = 0
	ended   int64 = -1
	broken  int64 = -2
)

// The kinds of failure of a body, as in funchost.h.
const (
	bodyTooLarge   uint32 = 1
	bodyIncomplete uint32 = 2
	bodySlow       uint32 = 3
	bodyMalformed  uint32 = 4
)

// The events of an entry that is not a new call, as in funchost.h.
const (
	eventCancel uint32 = 2
	eventRoom   uint32 = 4
	eventBody   uint32 = 8
)

// listeners holds the calls that want to hear of events. Most calls end without ever asking to.
var listeners = struct {
	sync.Mutex
	calls map[caller]*exchange
}{calls: map[caller]*exchange{}}

// notify passes events on to the call they belong to, if it listens.
func notify(from caller, events uint32) {
	listeners.Lock()
	call := listeners.calls[from]
	listeners.Unlock()
	if call == nil {
		return
	}
	if events&eventCancel != 0 {
		call.ctx.look()
	}
	if events&eventRoom != 0 {
		call.response.makeRoom()
	}
	if events&eventBody != 0 {
		call.body.arrive()
	}
}
