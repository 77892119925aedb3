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

// The events of an entry that is not a new call, as in funchost.h.
const (
	eventCancel uint32 = 2
	eventRoom   uint32 = 4
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
}
