//go:build go1.24

package plugin

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

type kubelessHandler = func(functions.Event, functions.Context) (string, error)

// recorder is a caller that keeps what it is told.
type recorder struct {
	mu      sync.Mutex
	reason  uint32
	status  int
	headers http.Header
	body    []byte
	pieces  int
	verdict verdict
	// Called when a piece has come, before the verdict is given.
	taken  func()
	failed [3]string
	over   chan struct{}
	// What read gives: a piece each time, then what to say when there are no more.
	upload []string
	rest   int64
	// Called when there are no more.
	asked func()
}

func newRecorder() *recorder { return &recorder{over: make(chan struct{})} }

func (r *recorder) cancelled() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

func (r *recorder) cancel(reason uint32) {
	r.mu.Lock()
	r.reason = reason
	r.mu.Unlock()
	notify(r, eventCancel)
}

func (r *recorder) head(status int, encoded []byte, mediaType string) {
	r.status, r.headers = status, http.Header{}
	for len(encoded) > 0 {
		name, value := binary.LittleEndian.Uint32(encoded), binary.LittleEndian.Uint32(encoded[4:])
		text := string(encoded[8 : 8+name+value])
		r.headers.Add(text[:name], text[name:])
		encoded = encoded[8+name+value:]
	}
	if mediaType != "" {
		r.headers.Add("Content-Type", mediaType)
	}
}

func (r *recorder) reply(status int, headers []byte, mediaType string, body []byte) {
	r.head(status, headers, mediaType)
	r.body = append(r.body, body...)
	close(r.over)
}

func (r *recorder) begin(status int, headers []byte, mediaType string) {
	r.head(status, headers, mediaType)
}

func (r *recorder) chunk(piece []byte) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pieces++
	r.body = append(r.body, piece...)
	if r.taken != nil {
		r.taken()
	}
	return r.verdict
}

func (r *recorder) read(into []byte) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.upload) == 0 {
		if r.asked != nil {
			r.asked()
		}
		return r.rest
	}
	read := copy(into, r.upload[0])
	if r.upload[0] = r.upload[0][read:]; r.upload[0] == "" {
		r.upload = r.upload[1:]
	}
	return int64(read)
}

// send adds a piece to the body, and says what follows it.
func (r *recorder) send(piece string, rest int64) {
	r.mu.Lock()
	if piece != "" {
		r.upload = append(r.upload, piece)
	}
	r.rest = rest
	r.mu.Unlock()
	notify(r, eventBody)
}

func (r *recorder) failure() (kind uint32, limit int64, reason string) {
	return bodyTooLarge, 10, "more than 10 bytes"
}

func (r *recorder) end() { close(r.over) }

func (r *recorder) fail(kind, message, stack string) {
	r.failed = [3]string{kind, message, stack}
	close(r.over)
}

// headOf writes a head as the host does.
func headOf(texts ...string) string {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(texts)))
	for _, text := range texts {
		head = binary.LittleEndian.AppendUint32(head, uint32(len(text)))
	}
	return string(head) + strings.Join(texts, "")
}

var plainHead = headOf("GET", "/", "HTTP/1.1", "example.org", "127.0.0.1:1")

// start runs a handler for a recorder. Only one at a time: the handler is registered for the whole process.
func start(handler kubelessHandler, head, body string) *recorder {
	Register("Handler", handler)
	to := newRecorder()
	go invoke(to, input{head: head, body: body}, time.Now().Add(time.Minute), functions.Context{})
	return to
}

func call(t *testing.T, handler kubelessHandler, head, body string) *recorder {
	t.Helper()
	to := start(handler, head, body)
	finished(t, to.over)
	return to
}

func finished(t *testing.T, over <-chan struct{}) {
	t.Helper()
	select {
	case <-over:
	case <-time.After(30 * time.Second):
		t.Fatal("not over in time")
	}
}

// What a handler does with its http.ResponseWriter has the same outcome as with net/http's own server.
func TestResponsesAreThoseOfNetHTTP(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 20_000)
	for name, write := range map[string]http.HandlerFunc{
		"nothing":                  func(w http.ResponseWriter, r *http.Request) {},
		"text":                     func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "text") },
		"html is sniffed":          func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<!DOCTYPE html><p>x") },
		"an image is sniffed":      func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("\x89PNG\x0D\x0A\x1A\x0A...")) },
		"json is text":             func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"a":1}`) },
		"no type when none is due": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201) },
		"type of its own": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{}")
		},
		"no sniffing when the type is nil": func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "x")
		},
		"no sniffing of encoded bodies": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "x")
		},
		"repeated headers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("X-Many", "1")
			w.Header().Add("X-Many", "2")
			w.Header().Set("x-one", "a")
		},
		"a header after WriteHeader is late": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(202)
			w.Header().Set("X-Late", "1")
			io.WriteString(w, "x")
		},
		"a header after Write is late": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			w.Header().Set("X-Late", "1")
		},
		"the first status stays": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			w.WriteHeader(200)
		},
		"informational statuses come before the real one": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(404)
			io.WriteString(w, "x")
		},
		"a status after writing is late": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			w.WriteHeader(500)
		},
		"no content has no body": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				panic(err)
			}
		},
		"not modified has no body": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(304)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				panic(err)
			}
		},
		"one large piece": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, large) },
		"many pieces": func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(large); i += 1000 {
				if n, err := io.WriteString(w, large[i:i+1000]); n != 1000 || err != nil {
					panic(err)
				}
			}
		},
		"sniffing sees the first piece that is flushed": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<!DOC")
			w.(http.Flusher).Flush()
			io.WriteString(w, "TYPE html>")
		},
		"an empty flush sends the head": func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			w.Header().Set("X-Late", "1")
			io.WriteString(w, "x")
		},
		"http.Error":    func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 418) },
		"http.Redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", 302) },
		"http.NotFound": http.NotFound,
		"http.SetCookie": func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", Path: "/"})
			http.SetCookie(w, &http.Cookie{Name: "c", Value: "d"})
		},
		"io.Copy": func(w http.ResponseWriter, r *http.Request) { io.Copy(w, strings.NewReader(large)) },
		"http.ServeContent": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.css", time.Time{}, strings.NewReader("a{}"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(write)
			defer server.Close()
			client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			wanted, err := client.Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(wanted.Body)
			if err != nil {
				t.Fatal(err)
			}
			// The server's own: framing and clock.
			wanted.Header.Del("Date")
			wanted.Header.Del("Content-Length")

			got := call(t, func(event functions.Event, _ functions.Context) (string, error) {
				write(event.Extensions.Response, event.Extensions.Request)
				return "", nil
			}, plainHead, "")
			got.headers.Del("Content-Length")
			if got.failed != [3]string{} {
				t.Fatal(got.failed)
			}
			if got.status != wanted.StatusCode || string(got.body) != string(body) {
				t.Errorf("status %d with %d bytes, net/http sends %d with %d bytes",
					got.status, len(got.body), wanted.StatusCode, len(body))
			}
			if !reflect.DeepEqual(got.headers, wanted.Header) {
				t.Errorf("headers %v, net/http sends %v", got.headers, wanted.Header)
			}
		})
	}
}

// A request is the one that net/http's own server makes of the same bytes.
func TestRequestsAreThoseOfNetHTTP(t *testing.T) {
	body := "a=1&b=2"
	for _, uri := range []string{"/", "/a/b%2Fc?x=1&y=%20", "//double", "/?q", "/path;v=1?a;b"} {
		var wanted *http.Request
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Log(err)
			}
			wanted = r
		}))
		sent, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sent.URL.Opaque = uri
		if strings.HasPrefix(uri, "//") {
			sent.URL.Opaque = server.URL + uri
		}
		sent.Header = http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "X-Many": {"1", "2"}, "X-One": {"a"},
			"User-Agent": {"test"}, "Accept-Encoding": {"identity"}, "Cookie": {"a=b; c=d"},
		}
		answer, err := http.DefaultClient.Do(sent)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		server.Close()

		texts := []string{wanted.Method, wanted.RequestURI, wanted.Proto, wanted.Host, wanted.RemoteAddr}
		for name, values := range wanted.Header {
			for _, value := range values {
				texts = append(texts, name, value)
			}
		}
		got := newRequest(new(exchange), input{head: headOf(texts...), body: body})
		if err := got.ParseForm(); err != nil {
			t.Log(err)
		}
		for _, pair := range []struct {
			what        string
			got, wanted any
		}{
			{"Method", got.Method, wanted.Method}, {"URL", got.URL, wanted.URL}, {"Proto", got.Proto, wanted.Proto},
			{"ProtoMajor", got.ProtoMajor, wanted.ProtoMajor}, {"ProtoMinor", got.ProtoMinor, wanted.ProtoMinor},
			{"Header", got.Header, wanted.Header}, {"ContentLength", got.ContentLength, wanted.ContentLength},
			{"Host", got.Host, wanted.Host}, {"RemoteAddr", got.RemoteAddr, wanted.RemoteAddr},
			{"RequestURI", got.RequestURI, wanted.RequestURI}, {"Form", got.Form, wanted.Form},
			{"PostForm", got.PostForm, wanted.PostForm}, {"Cookies", got.Cookies(), wanted.Cookies()},
		} {
			if !reflect.DeepEqual(pair.got, pair.wanted) {
				t.Errorf("%s: %s is %v, net/http has %v", uri, pair.what, pair.got, pair.wanted)
			}
		}
	}
}

func TestAMalformedPercentEncodingStaysInThePath(t *testing.T) {
	request := newRequest(new(exchange), input{head: headOf("GET", "/a%zz?b=1", "HTTP/1.1", "h", "r")})
	if request.URL.Path != "/a%zz" || request.URL.Query().Get("b") != "1" {
		t.Errorf("%#v", request.URL)
	}
	if request.Body != http.NoBody {
		t.Errorf("the body is %v", request.Body)
	}
}

func TestAppendingToOneHeaderLeavesTheNextAlone(t *testing.T) {
	request := newRequest(new(exchange), input{head: headOf("GET", "/", "HTTP/1.1", "h", "r", "A", "1", "B", "2")})
	request.Header.Add("A", "3")
	if got := request.Header.Get("B"); got != "2" {
		t.Errorf("B is %q", got)
	}
}

func TestWhatIsReturnedComesAfterWhatWasWritten(t *testing.T) {
	got := call(t, func(event functions.Event, _ functions.Context) (string, error) {
		io.WriteString(event.Extensions.Response, "<p>written</p>")
		return "returned", nil
	}, plainHead, "")
	if string(got.body) != "<p>written</p>returned" || got.headers.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%q %v", got.body, got.headers)
	}
	got = call(t, func(event functions.Event, _ functions.Context) (string, error) {
		event.Extensions.Response.(http.Flusher).Flush()
		return "returned", nil
	}, plainHead, "")
	if string(got.body) != "returned" || got.pieces != 1 {
		t.Errorf("%q in %d pieces", got.body, got.pieces)
	}
}

type typedError struct{}

func (*typedError) Error() string { return "typed" }

func TestFailures(t *testing.T) {
	for name, expected := range map[string]struct {
		handler       kubelessHandler
		kind, message string
		stack         bool
	}{
		"an error": {func(functions.Event, functions.Context) (string, error) { return "", errors.New("no") },
			"*errors.errorString", "no", false},
		"an error of its own type": {func(functions.Event, functions.Context) (string, error) { return "x", &typedError{} },
			"*plugin.typedError", "typed", false},
		"a panic": {func(functions.Event, functions.Context) (string, error) { panic("boom") },
			"panic", "panic: boom", true},
		"a panic with an error": {func(functions.Event, functions.Context) (string, error) { panic(&typedError{}) },
			"*plugin.typedError", "panic: typed", true},
		"a runtime error": {func(functions.Event, functions.Context) (string, error) {
			var none []int
			return string(rune(none[len(none)])), nil
		}, "runtime.boundsError", "panic: runtime error: index out of range [0] with length 0", true},
		"a status that is none": {func(event functions.Event, _ functions.Context) (string, error) {
			event.Extensions.Response.WriteHeader(42)
			return "", nil
		}, "panic", "panic: invalid WriteHeader code 42", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, expected.handler, plainHead, "")
			if got.failed[0] != expected.kind || got.failed[1] != expected.message {
				t.Errorf("%q", got.failed)
			}
			stack := got.failed[2]
			if (stack != "") != expected.stack {
				t.Errorf("the stack is %q", stack)
			}
			if expected.stack && (!strings.Contains(stack, "TestFailures") || strings.Contains(stack, "panicStack")) {
				t.Errorf("the stack does not begin in the handler:\n%s", stack)
			}
		})
	}
}

func TestWritingAfterTheHandlerHasReturnedIsRefused(t *testing.T) {
	var kept http.ResponseWriter
	call(t, func(event functions.Event, _ functions.Context) (string, error) {
		kept = event.Extensions.Response
		return "", nil
	}, plainHead, "")
	if _, err := kept.Write([]byte("late")); err != errOver {
		t.Error(err)
	}
	if err := http.NewResponseController(kept).Flush(); err != errOver {
		t.Error(err)
	}
}

// The client may have taken everything before the handler even knows that it should wait.
func TestRoomThatIsThereAtOnceIsNotMissed(t *testing.T) {
	to := newRecorder()
	to.verdict = wait
	to.taken = func() { notify(to, eventRoom) }
	Register("Handler", func(event functions.Event, _ functions.Context) (string, error) {
		for range 5 {
			event.Extensions.Response.Write(make([]byte, wholeUpTo+1))
		}
		return "", nil
	})
	go invoke(to, input{head: plainHead}, time.Now().Add(time.Minute), functions.Context{})
	finished(t, to.over)
	if len(to.body) != 5*(wholeUpTo+1) {
		t.Error(len(to.body))
	}
}

func TestASlowClientMakesTheHandlerWait(t *testing.T) {
	wrote := make(chan int, 1)
	to := newRecorder()
	to.verdict = wait
	Register("Handler", func(event functions.Event, _ functions.Context) (string, error) {
		for i := 1; i <= 2; i++ {
			event.Extensions.Response.Write(make([]byte, wholeUpTo+1))
			wrote <- i
		}
		return "", nil
	})
	go invoke(to, input{head: plainHead}, time.Now().Add(time.Minute), functions.Context{})
	if first := <-wrote; first != 1 {
		t.Fatal(first)
	}
	// The second write cannot come before there is room; when there is, it must.
	select {
	case <-wrote:
		t.Fatal("it did not wait")
	default:
	}
	for listening := false; !listening; {
		listeners.Lock()
		listening = listeners.calls[to] != nil
		listeners.Unlock()
	}
	notify(to, eventRoom)
	if second := <-wrote; second != 2 {
		t.Fatal(second)
	}
	finished(t, to.over)
	listeners.Lock()
	defer listeners.Unlock()
	if len(listeners.calls) != 0 {
		t.Errorf("%d calls still listen", len(listeners.calls))
	}
}
