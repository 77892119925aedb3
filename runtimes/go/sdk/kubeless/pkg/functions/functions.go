// Package functions declares what a Kubeless Go function receives. It stands in for the package of the same path in
// Kubeless itself, field for field, so that functions written for Kubeless compile unchanged and offline.
package functions

import (
	"context"
	"net/http"
)

// Event is one call of the function.
type Event struct {
	// Data is the whole request body, whatever its media type.
	Data string
	// EventID is the request header event-id, empty when the caller sent none. So are the three below.
	EventID        string
	EventType      string
	EventTime      string
	EventNamespace string
	// Extensions gives access to the HTTP exchange itself.
	Extensions Extension
}

// Extension is the HTTP exchange behind an event.
type Extension struct {
	// Request is the request as net/http would have it. Its Body holds the same bytes as Event.Data, unread.
	Request *http.Request
	// Response takes a status, headers and a body of the function's own. What the function returns is written after
	// what it wrote here. It also is an http.Flusher.
	Response http.ResponseWriter
	// Context carries the call's deadline; it is done when the deadline has passed or the client has left.
	Context context.Context
}

// Context is what a function is told about itself. It is the same for every call.
type Context struct {
	// FunctionName is the handler's name.
	FunctionName string
	// Timeout is the time limit of a call in seconds.
	Timeout string
	// Runtime is what the deployment calls the runtime, as in go1.26.
	Runtime string
	// MemoryLimit is a Kubernetes quantity, as in 128Mi.
	MemoryLimit string
}
