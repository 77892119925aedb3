//go:build go1.24

package plugin

import (
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"unsafe"

	"github.com/kubeless/kubeless/pkg/functions"
)

// The texts of a head before the headers begin, see funchost_call.head.
const (
	headMethod = iota
	headURI
	headProtocol
	headHost
	headRemote
	headHeaders
)

// newRequest is the request as net/http's server would make it. Every string in it is a part of the head.
func newRequest(call *exchange, in input) *http.Request {
	lengths := unsafe.Slice(unsafe.StringData(in.head), len(in.head))
	count := int(binary.LittleEndian.Uint32(lengths))
	lengths, rest := lengths[4:4+4*count], in.head[4+4*count:]
	next := func() string {
		length := binary.LittleEndian.Uint32(lengths)
		text := rest[:length]
		lengths, rest = lengths[4:], rest[length:]
		return text
	}

	// WithContext is the only way to set a context, and it copies: so this one stays on the stack.
	var made http.Request
	request := made.WithContext(&call.ctx)
	request.Method = next()
	request.RequestURI = next()
	request.URL = parseURI(request.Method, request.RequestURI)
	request.Proto = next()
	request.ProtoMajor, request.ProtoMinor, _ = http.ParseHTTPVersion(request.Proto)
	request.Host = next()
	request.RemoteAddr = next()

	headers := (count - headHeaders) / 2
	request.Header = make(http.Header, headers)
	values := make([]string, headers)
	for i := range values {
		name := next()
		values[i] = next()
		if there, repeated := request.Header[name]; repeated {
			request.Header[name] = append(there, values[i])
		} else {
			// The capacity keeps a later append from running into the next header's value.
			request.Header[name] = values[i : i+1 : i+1]
		}
	}

	request.Body, request.ContentLength = bodyOf(call, in, request.Header)
	return request
}

// parseURI never fails: the server has accepted the request, so the function gets to see it. What net/url does not
// take (a malformed percent-encoding) stays in the path as it came.
func parseURI(method, uri string) *url.URL {
	if method == http.MethodConnect && !strings.HasPrefix(uri, "/") {
		return &url.URL{Host: uri}
	}
	if parsed, err := url.ParseRequestURI(uri); err == nil {
		return parsed
	}
	path, query, _ := strings.Cut(uri, "?")
	return &url.URL{Path: path, RawQuery: query}
}

// newEvent is the event of a request. The header names are in canonical form.
func newEvent(request *http.Request, response http.ResponseWriter, data string) functions.Event {
	header := func(name string) string {
		if values := request.Header[name]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	return functions.Event{
		Data:           data,
		EventID:        header("Event-Id"),
		EventType:      header("Event-Type"),
		EventTime:      header("Event-Time"),
		EventNamespace: header("Event-Namespace"),
		Extensions:     functions.Extension{Request: request, Response: response, Context: request.Context()},
	}
}
