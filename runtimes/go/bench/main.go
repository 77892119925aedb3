// Command bench is what the Go host is measured against, and how starting is measured.
//
//	bench serve PORT              a plain net/http server that answers what examples/go/hello does
//	bench start PORT COMMAND...   starts a server again and again: time to its first answer, memory when idle
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const starts = 30

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) > 3 && os.Args[1] == "start":
		err = start(os.Args[2], os.Args[3:])
	default:
		err = fmt.Errorf("usage: bench serve PORT | bench start PORT COMMAND...")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// serve reads the body, as a function's event needs it, and answers.
func serve(port string) error {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK") })
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK") })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, "Hello world!")
	})
	return http.ListenAndServe("127.0.0.1:"+port, nil)
}

func start(port string, command []string) error {
	var times []time.Duration
	var memory []int
	for range starts {
		took, resident, err := startOnce("http://127.0.0.1:"+port+"/", command)
		if err != nil {
			return fmt.Errorf("%v: %w", command, err)
		}
		times, memory = append(times, took), append(memory, resident)
	}
	slices.Sort(times)
	slices.Sort(memory)
	fmt.Printf("first answer after %.1f ms (%.1f to %.1f), idle with %.1f MB\n", milliseconds(times[starts/2]),
		milliseconds(times[0]), milliseconds(times[starts-1]), float64(memory[starts/2])/1024)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func startOnce(url string, command []string) (time.Duration, int, error) {
	if taken, err := http.Get(url); err == nil {
		taken.Body.Close()
		return 0, 0, fmt.Errorf("%s is answered already", url)
	}
	server := exec.Command(command[0], command[1:]...)
	began := time.Now()
	if err := server.Start(); err != nil {
		return 0, 0, err
	}
	defer server.Wait()
	defer server.Process.Signal(syscall.SIGTERM)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for time.Since(began) < 10*time.Second {
		answer, err := client.Get(url)
		if err != nil {
			time.Sleep(100 * time.Microsecond) // Nobody listens yet.
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			took := time.Since(began)
			resident, err := residentKilobytes(server.Process.Pid)
			return took, resident, err
		}
	}
	return 0, 0, fmt.Errorf("no answer within 10 s")
}

func residentKilobytes(process int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	return strconv.Atoi(strings.Fields(after)[0])
}
