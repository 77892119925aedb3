//go:build go1.24

package plugin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

// stream runs a plain handler for a recorder, on a body that has not been sent.
func stream(handler func(http.ResponseWriter, *http.Request), headers ...string) *recorder {
	Register("Handler", handler)
	to := newRecorder()
	head := headOf(append([]string{"POST", "/", "HTTP/1.1", "example.org", "127.0.0.1:1"}, headers...)...)
	go invoke(to, input{head: head, streamed: true}, time.Now().Add(time.Minute), functions.Context{})
	return to
}

func TestAStreamedBodyIsReadAsItComes(t *testing.T) {
	pieces := make(chan string)
	to := stream(func(w http.ResponseWriter, r *http.Request) {
		into := make([]byte, 3)
		for {
			read, err := r.Body.Read(into)
			pieces <- string(into[:read])
			if err != nil {
				pieces <- err.Error()
				return
			}
		}
	})
	to.send("abcde", noneYet)
	for _, expected := range []string{"abc", "de"} {
		if piece := <-pieces; piece != expected {
			t.Fatalf("%q instead of %q", piece, expected)
		}
	}
	to.send("f", noneYet)
	if piece := <-pieces; piece != "f" {
		t.Fatalf("%q", piece)
	}
	to.send("", ended)
	if piece, err := <-pieces, <-pieces; piece != "" || err != "EOF" {
		t.Fatalf("%q, %q", piece, err)
	}
	finished(t, to.over)
}

func TestTheLengthOfAStreamedBodyIsKnownWhereItWasSaid(t *testing.T) {
	lengths := make(chan int64, 2)
	handler := func(_ http.ResponseWriter, r *http.Request) { lengths <- r.ContentLength }
	finished(t, stream(handler).over)
	finished(t, stream(handler, "Content-Length", "12").over)
	if unknown, known := <-lengths, <-lengths; unknown != -1 || known != 12 {
		t.Fatalf("%d, %d", unknown, known)
	}
}

// reading is what a handler gets that reads to the end of a body of which "ab" has come.
func reading(t *testing.T, then func(*recorder)) (string, error) {
	t.Helper()
	begun, errs := make(chan struct{}), make(chan error, 1)
	text := ""
	to := stream(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		all, err := io.ReadAll(r.Body)
		if _, again := r.Body.Read(make([]byte, 1)); again != err {
			t.Errorf("%v, and then %v", err, again)
		}
		text = string(all)
		errs <- err
	})
	finished(t, begun)
	to.send("ab", noneYet)
	then(to)
	finished(t, to.over)
	return text, <-errs
}

func TestABrokenBodyIsAnError(t *testing.T) {
	text, err := reading(t, func(to *recorder) { to.send("c", broken) })
	var tooLarge *http.MaxBytesError
	if text != "abc" || !errors.As(err, &tooLarge) || tooLarge.Limit != 10 {
		t.Errorf("%q, %v", text, err)
	}
	for kind, expected := range map[uint32]error{
		bodyIncomplete: io.ErrUnexpectedEOF, bodySlow: os.ErrDeadlineExceeded, bodyMalformed: nil,
	} {
		if err := bodyError(kind, 0, "the reason"); err.Error() != "the reason" || errors.Unwrap(err) != expected {
			t.Errorf("%d: %v", kind, err)
		}
	}
}

func TestReadingEndsWithTheContext(t *testing.T) {
	for reason, expected := range map[uint32]error{
		deadlinePassed: context.DeadlineExceeded, clientGone: errClientGone, shuttingDown: errShutdown,
	} {
		if text, err := reading(t, func(to *recorder) { to.cancel(reason) }); text != "ab" && text != "" || err != expected {
			t.Errorf("%d: %q, %v", reason, text, err)
		}
	}
}

func TestNothingIsReadAfterTheHandlerHasReturned(t *testing.T) {
	errs, begun := make(chan error, 1), make(chan struct{})
	var body io.Reader
	to := stream(func(_ http.ResponseWriter, r *http.Request) {
		body = r.Body
		go func() {
			close(begun)
			_, err := body.Read(make([]byte, 1))
			errs <- err
		}()
		<-begun
	})
	finished(t, to.over)
	if err := <-errs; err != http.ErrBodyReadAfterClose && err != errReturned {
		t.Error(err)
	}
	to.send("late", ended)
	if _, err := body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose && err != errReturned {
		t.Error(err)
	}
}

func TestAClosedBodyIsNotRead(t *testing.T) {
	errs := make(chan error, 1)
	to := stream(func(_ http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 1))
		errs <- err
	})
	finished(t, to.over)
	if err := <-errs; err != http.ErrBodyReadAfterClose {
		t.Error(err)
	}
}

func TestClosingEndsAWait(t *testing.T) {
	waits, told := make(chan struct{}), make(chan *recorder)
	errs := make(chan error, 1)
	to := stream(func(_ http.ResponseWriter, r *http.Request) {
		to := <-told
		to.mu.Lock()
		to.asked = sync.OnceFunc(func() { close(waits) })
		to.mu.Unlock()
		go func() {
			_, err := r.Body.Read(make([]byte, 1))
			errs <- err
		}()
		<-waits
		r.Body.Close()
		if err := <-errs; err != http.ErrBodyReadAfterClose {
			t.Error(err)
		}
	})
	told <- to
	finished(t, to.over)
}

func TestAPlainHandlerIsNetHTTPs(t *testing.T) {
	Register("Handler", func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		w.Write(body)
	})
	to := newRecorder()
	go invoke(to, input{head: plainHead, body: "whole"}, time.Now().Add(time.Minute), functions.Context{})
	finished(t, to.over)
	if to.status != http.StatusTeapot || string(to.body) != "whole" || !registered.streams {
		t.Errorf("%d %q", to.status, to.body)
	}
}
