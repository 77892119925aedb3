//go:build go1.24

package plugin

import (
	"net/http"

	"github.com/kubeless/kubeless/pkg/functions"
)

// Handler is one of the forms that a function may have: that of Kubeless, or that of net/http, which takes bodies as
// they come.
type Handler interface {
	func(functions.Event, functions.Context) (string, error) | func(http.ResponseWriter, *http.Request)
}

// handle runs a handler of any form. What it returns is written after what the handler wrote.
type handle func(request *http.Request, response *response, data string, about functions.Context) (string, error)

// adapt is done once: what it returns knows the form.
func adapt[H Handler](handler H) (run handle, streams bool) {
	switch handler := any(handler).(type) {
	case func(http.ResponseWriter, *http.Request):
		return func(request *http.Request, response *response, _ string, _ functions.Context) (string, error) {
			handler(response, request)
			return "", nil
		}, true
	case func(functions.Event, functions.Context) (string, error):
		return func(request *http.Request, response *response, data string, about functions.Context) (string, error) {
			return handler(newEvent(request, response, data), about)
		}, false
	}
	panic("a form of handler that nobody runs")
}
