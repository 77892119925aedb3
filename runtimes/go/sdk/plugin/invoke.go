//go:build go1.24

package plugin

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

// exchange is one call, from the host's entry to the reply.
type exchange struct {
	ctx      callContext
	response response
	// The request's body, if that is streamed.
	body streamedBody
}

// input is what the host has of a request.
type input struct {
	// See funchost_call.head.
	head string
	// Empty when the body is streamed.
	body     string
	streamed bool
}

// invoke runs the handler for one call, and ends the call however the handler ends. It runs on a goroutine of its
// own.
func invoke(from caller, in input, deadline time.Time, function functions.Context) {
	call := new(exchange)
	call.ctx.call = call
	call.ctx.from = from
	call.ctx.deadline = deadline
	call.response.to = from
	call.response.ctx = &call.ctx
	call.response.room = make(chan struct{}, 1)

	request := newRequest(call, in)
	returned := false
	defer func() {
		if request.MultipartForm != nil {
			_ = request.MultipartForm.RemoveAll() // As net/http does with the files of an upload.
		}
		if returned {
			return
		}
		if value := recover(); value != nil {
			call.response.abandon(panicKind(value), "panic: "+fmt.Sprint(value), panicStack())
		} else {
			call.response.abandon("runtime.Goexit", "the handler ended its goroutine instead of returning", "")
		}
	}()

	text, err := registered.handle(request, &call.response, in.body, function)
	returned = true
	if err != nil {
		call.response.abandon(fmt.Sprintf("%T", err), fmt.Sprint(err), "")
		return
	}
	call.response.finish(text)
}

// panicKind is the type of an error value that was panicked with.
func panicKind(value any) string {
	if err, ok := value.(error); ok {
		return fmt.Sprintf("%T", err)
	}
	return "panic"
}

// panicStack is the stack of the panic that is being recovered, from the frame that panicked on.
func panicStack() string {
	stack := string(debug.Stack())
	header, _, _ := strings.Cut(stack, "\n")
	if _, below, found := strings.Cut(stack, "\npanic("); found {
		// Two lines a frame: the rest of the call's line, and where it is.
		if _, below, found = strings.Cut(below, "\n"); found {
			if _, frames, found := strings.Cut(below, "\n"); found {
				return header + "\n" + strings.TrimRight(frames, "\n")
			}
		}
	}
	return strings.TrimRight(stack, "\n")
}
