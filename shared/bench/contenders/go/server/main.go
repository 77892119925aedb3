// Command server serves the functions without a host.
//
//	server plain PORT FUNCTION       each as a handler of net/http
//	server kubeless PORT FUNCTION    in the shape of Kubeless' Go runtime: a goroutine and a deadline for each call, and
//	                                 the process ends after a deadline. It has no metrics and writes no access log.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	piece = []byte(strings.Repeat("x", 4096))
	turns int
)

// function answers a request whose body has been read.
type function func(response http.ResponseWriter, request *http.Request, data []byte) (string, error)

var functions = map[string]function{
	"hello": func(http.ResponseWriter, *http.Request, []byte) (string, error) { return "hello", nil },
	"echo": func(response http.ResponseWriter, _ *http.Request, body []byte) (string, error) {
		var data any
		if err := json.Unmarshal(body, &data); err != nil {
			return "", err
		}
		text, err := json.Marshal(data)
		response.Header().Set("Content-Type", "application/json")
		return string(text), err
	},
	"mirror": func(_ http.ResponseWriter, _ *http.Request, body []byte) (string, error) { return string(body), nil },
	"stream": func(response http.ResponseWriter, _ *http.Request, _ []byte) (string, error) {
		for range 25 {
			if _, err := response.Write(piece); err != nil {
				return "", err
			}
			response.(http.Flusher).Flush()
		}
		return "", nil
	},
	"wait": func(http.ResponseWriter, *http.Request, []byte) (string, error) {
		time.Sleep(10 * time.Millisecond)
		return "slept", nil
	},
	"mandelbrot": func(http.ResponseWriter, *http.Request, []byte) (string, error) { return mandelbrot(), nil },
	"fail": func(http.ResponseWriter, *http.Request, []byte) (string, error) {
		return "", errors.New("as asked")
	},
	"storm": func(_ http.ResponseWriter, request *http.Request, _ []byte) (string, error) {
		if request.URL.Path == "/spin" {
			for {
				turns++
			}
		}
		return "ok", nil
	},
}

// mandelbrot counts the steps that all points of a small picture take together. The conversions keep the compiler from
// fusing a multiplication and an addition, which would round differently from one machine to another.
func mandelbrot() string {
	steps := 0
	for row := range 64 {
		ci := float64(row)/32 - 1
		for column := range 80 {
			cr := float64(column)/32 - 2
			zr, zi := 0.0, 0.0
			for range 50 {
				rr, ii := float64(zr*zr), float64(zi*zi)
				if rr+ii > 4 {
					break
				}
				zi = float64(2*zr*zi) + ci
				zr = rr - ii + cr
				steps++
			}
		}
	}
	return strconv.Itoa(steps)
}

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func serve(arguments []string) error {
	usage := errors.New("usage: server plain|kubeless PORT FUNCTION")
	if len(arguments) != 3 {
		return usage
	}
	call, known := functions[arguments[2]]
	if !known {
		return fmt.Errorf("there is no function %q", arguments[2])
	}
	server := &http.Server{Addr: "127.0.0.1:" + arguments[1]}
	switch arguments[0] {
	case "plain":
		server.Handler = plain(call)
		return server.ListenAndServe()
	case "kubeless":
		server.Handler = kubeless(call)
		return untilStopped(server)
	default:
		return usage
	}
}

func plain(call function) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		text, err := call(response, request, body)
		if err != nil {
			http.Error(response, "Internal Server Error", http.StatusInternalServerError)
			return
		}
		io.WriteString(response, text)
	}
}

func kubeless(call function) http.HandlerFunc {
	timeout, err := strconv.ParseFloat(os.Getenv("FUNC_TIMEOUT"), 64)
	if err != nil {
		timeout = 180
	}
	limit := time.Duration(timeout * float64(time.Second))
	type result struct {
		text string
		err  error
	}
	return func(response http.ResponseWriter, request *http.Request) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		response.Header().Set("Access-Control-Allow-Origin", "*")
		done := make(chan result, 1)
		go func() {
			text, err := call(response, request, body)
			done <- result{text, err}
		}()
		select {
		case <-ctx.Done():
			response.WriteHeader(http.StatusRequestTimeout)
			io.WriteString(response, "Timeout exceeded")
			time.AfterFunc(time.Second, func() {
				fmt.Fprintln(os.Stderr, "a call ran out of time: this ends the process")
				os.Exit(1)
			})
		case result := <-done:
			if result.err != nil {
				response.WriteHeader(http.StatusInternalServerError)
				fmt.Fprintf(response, "Error: %v", result.err)
				return
			}
			io.WriteString(response, result.text)
		}
	}
}

// untilStopped serves until a signal comes, then finishes what runs.
func untilStopped(server *http.Server) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	stopped := make(chan error, 1)
	go func() {
		<-signals
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
