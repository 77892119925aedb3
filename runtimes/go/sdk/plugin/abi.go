//go:build go1.24

// Package plugin turns a function into a shared library that the funchost server for Go can open. A function's build
// generates a package main that registers the handler; everything else is here. funchost.h describes the interface
// to the server.
package plugin

/*
#include "bridge.h"

#cgo noescape funchost_reply
#cgo nocallback funchost_reply
#cgo noescape funchost_begin
#cgo nocallback funchost_begin
#cgo noescape funchost_chunk
#cgo nocallback funchost_chunk
#cgo nocallback funchost_end
#cgo noescape funchost_fail
#cgo nocallback funchost_fail
#cgo noescape funchost_read
#cgo nocallback funchost_read
#cgo noescape funchost_why
#cgo nocallback funchost_why
#cgo noescape funchost_stuck
#cgo nocallback funchost_stuck
#cgo nocallback funchost_goroutines
#cgo nocallback funchost_release
#cgo nocallback funchost_collect
#cgo nocallback funchost_flush
*/
import "C"

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/kubeless/kubeless/pkg/functions"
)

// registered is the handler that calls go to.
var registered struct {
	name string
	// Whether it takes bodies as they come.
	streams bool
	handle  handle
}

// Register names the handler that calls go to. The generated package main does so in its init function.
func Register[H Handler](name string, handler H) {
	registered.name = name
	registered.handle, registered.streams = adapt(handler)
}

//export funchost_start
func funchost_start(host *C.funchost_host, about *C.funchost_plugin) {
	C.funchost_the_host = host
	about.handler = forever(registered.name)
	about.go_version = forever(runtime.Version())
	if registered.streams {
		about.streams = 1
	}

	if cpus := int(host.cpus); cpus > 0 && cpus < runtime.NumCPU() && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(cpus)
	}
	if host.memory > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(host.memory))
	}
	if path := text(host.crash_log); path != "" {
		// Kubernetes makes the file; without it the report on standard error has to do.
		if file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_ = debug.SetCrashOutput(file, debug.CrashOptions{})
			_ = file.Close()
		}
	}

	function := functions.Context{
		FunctionName: text(host.function_name),
		Timeout:      text(host.timeout),
		Runtime:      text(host.runtime),
		MemoryLimit:  text(host.memory_limit),
	}
	started := time.Now()
	go receive(queue{host.queue}, func(call *C.funchost_call, goroutine uint64) {
		atomic.StoreUint64((*uint64)(unsafe.Pointer(&call.goroutine)), goroutine)
		deadline := started.Add(time.Duration(call.deadline))
		invoke(hostCall{call}, input{text(call.head), text(call.body), call.streamed != 0}, deadline, function)
	})
}

// forever copies text to memory that the host may keep.
func forever(text string) C.funchost_bytes {
	return C.funchost_bytes{data: (*C.uint8_t)(C.CBytes([]byte(text))), len: C.uint64_t(len(text))}
}

// text copies bytes of the host into a string.
func text(bytes C.funchost_bytes) string {
	return strings.Clone(unsafe.String((*byte)(bytes.data), int(bytes.len)))
}

// queue is the plugin's end of funchost_queue.
type queue struct{ shared *C.funchost_queue }

func (q queue) newest() *unsafe.Pointer {
	return (*unsafe.Pointer)(unsafe.Pointer(&q.shared.newest))
}

// take empties the queue and returns the entries as a list, oldest first, and how many there are.
func (q queue) take() (oldest *C.funchost_call, count int) {
	newest := (*C.funchost_call)(atomic.SwapPointer(q.newest(), nil))
	for newest != nil {
		newest, newest.next, oldest = newest.next, oldest, newest
		count++
	}
	return oldest, count
}

func (q queue) asked() *uint32 { return (*uint32)(unsafe.Pointer(&q.shared.ask)) }

func (q queue) empty() bool {
	return atomic.LoadPointer(q.newest()) == nil && atomic.LoadUint32(q.asked()) == 0
}

// settled tells whether there are entries. If there are none, the host has been told to wake us before that is said.
func (q queue) settled() bool {
	parked := (*uint32)(unsafe.Pointer(&q.shared.parked))
	if q.empty() {
		atomic.StoreUint32(parked, 1)
		if q.empty() {
			return false
		}
		atomic.StoreUint32(parked, 0)
	}
	return true
}

// A batch of this many calls is worth a word to the host before and after.
const manyCalls = 4

// receive takes entries out of the queue for the life of the process.
func receive(q queue, run func(call *C.funchost_call, goroutine uint64)) {
	// Go's network poller watches the descriptor, so waiting here costs no thread.
	wake, err := os.NewFile(uintptr(q.shared.wake), "funchost queue").SyscallConn()
	if err != nil {
		panic(err)
	}
	// Calls whose goroutine has not begun.
	var waiting atomic.Int32
	calls := newPool(func(call *C.funchost_call, goroutine uint64) {
		waiting.Add(-1)
		run(call, goroutine)
	})
	for {
		if err := wake.Read(func(uintptr) bool { return q.settled() }); err != nil {
			panic(err)
		}
		if atomic.SwapUint32(q.asked(), 0) != 0 {
			C.funchost_goroutines(C.uint64_t(runtime.NumGoroutine()))
		}
		var late []hostCall
		call, count := q.take()
		if count >= manyCalls {
			C.funchost_collect()
		}
		for call != nil {
			next := call.next // Not ours any more once the events are taken.
			events := atomic.SwapUint32((*uint32)(unsafe.Pointer(&call.events)), 0)
			if events&C.FUNCHOST_INVOKE != 0 {
				waiting.Add(1)
				calls.start(call)
			} else {
				from := hostCall{call}
				notify(from, events)
				if events&C.FUNCHOST_CANCEL != 0 && from.cancelled() == deadlinePassed {
					late = append(late, from)
				} else {
					C.funchost_release(from.address())
				}
			}
			call = next
		}
		if late != nil {
			go tellWhere(late)
		}
		if count >= manyCalls {
			// When the last goroutine has had its turn, those with short handlers are through.
			for waiting.Load() > 0 {
				runtime.Gosched()
			}
			C.funchost_flush()
		}
	}
}

// tellWhere tells the host where the handlers of these calls are, and gives the calls back.
func tellWhere(calls []hostCall) {
	stacks := allStacks()
	for _, call := range calls {
		goroutine := atomic.LoadUint64((*uint64)(unsafe.Pointer(&call.shared.goroutine)))
		if stack := stackOf(stacks, goroutine); stack != "" {
			C.funchost_stuck(call.address(), firstOf(stack), C.uint64_t(len(stack)))
		}
		C.funchost_release(call.address())
	}
}

// hostCall is a caller in the host, behind funchost_call.
type hostCall struct{ shared *C.funchost_call }

func (c hostCall) address() C.uintptr_t { return C.uintptr_t(uintptr(unsafe.Pointer(c.shared))) }

func (c hostCall) cancelled() uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&c.shared.cancelled)))
}

func (c hostCall) reply(status int, headers []byte, mediaType string, body []byte) {
	C.funchost_reply(c.address(), C.uint32_t(status), first(headers), C.uint64_t(len(headers)),
		firstOf(mediaType), C.uint64_t(len(mediaType)), first(body), C.uint64_t(len(body)))
}

func (c hostCall) begin(status int, headers []byte, mediaType string) {
	C.funchost_begin(c.address(), C.uint32_t(status), first(headers), C.uint64_t(len(headers)),
		firstOf(mediaType), C.uint64_t(len(mediaType)))
}

func (c hostCall) chunk(piece []byte) verdict {
	return verdict(C.funchost_chunk(c.address(), first(piece), C.uint64_t(len(piece))))
}

func (c hostCall) end() { C.funchost_end(c.address()) }

func (c hostCall) fail(kind, message, stack string) {
	C.funchost_fail(c.address(), firstOf(kind), C.uint64_t(len(kind)), firstOf(message), C.uint64_t(len(message)),
		firstOf(stack), C.uint64_t(len(stack)))
}

func (c hostCall) read(into []byte) int64 {
	return int64(C.funchost_read(c.address(), first(into), C.uint64_t(len(into))))
}

func (c hostCall) failure() (kind uint32, limit int64, reason string) {
	var why C.funchost_failure
	C.funchost_why(c.address(), &why)
	return uint32(why.kind), int64(why.limit), text(why.text)
}

func first(bytes []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(bytes)) }

func firstOf(text string) *C.uint8_t { return (*C.uint8_t)(unsafe.StringData(text)) }
