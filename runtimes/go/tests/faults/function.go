package kubeless

// #include <stdlib.h>
// #include <unistd.h>
import "C"

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

// Handler does to its process what the path says.
func Handler(event functions.Event, _ functions.Context) (string, error) {
	fault := faults[strings.TrimPrefix(event.Extensions.Request.URL.Path, "/")]
	return fault(event)
}

var faults map[string]func(functions.Event) (string, error)

func init() {
	faults = map[string]func(functions.Event) (string, error){
		"ok":       func(functions.Event) (string, error) { return "ok", nil },
		"endless":  endless,
		"spin":     does(spin),
		"block":    does(func() { C.sleep(600) }),
		"swallow":  does(swallow),
		"recurse":  does(func() { recurse(0) }),
		"allocate": does(allocate),
		"exit":     does(func() { os.Exit(0) }),
		"abort":    does(func() { C.abort() }),
		"segfault": does(segfault),
		"close":    does(closeAll),
		"panic":    does(func() { go panic("in a goroutine of its own"); time.Sleep(time.Minute) }),
		"flood":    does(flood),
		"outlive":  does(outlive),
		"sigterm":  does(func() { signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT) }),
		"fork":     does(fork),
		"chdir":    does(func() { _ = os.Chdir("/") }),
		"umask":    does(func() { syscall.Umask(0o777) }),
	}
}

func does(fault func()) func(functions.Event) (string, error) {
	return func(functions.Event) (string, error) {
		fault()
		return "done", nil
	}
}

var turns int

func spin() {
	for {
		turns++
	}
}

// swallow recovers from whatever could stop it.
func swallow() {
	for {
		func() {
			defer func() { _ = recover() }()
			spin()
		}()
	}
}

func recurse(depth int) int {
	return recurse(depth+1) + 1
}

func allocate() {
	var everything [][]byte
	for {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = 1
		}
		everything = append(everything, block)
		turns = len(everything)
	}
}

func segfault() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	time.Sleep(time.Minute)
}

func closeAll() {
	for fd := range 4096 {
		_ = syscall.Close(fd)
	}
	time.Sleep(time.Minute)
}

func flood() {
	line := []byte(strings.Repeat("a", 1<<20))
	for range 100 {
		_, _ = os.Stdout.Write(line)
	}
}

func outlive() {
	for range 100 {
		go func() { time.Sleep(10 * time.Minute) }()
	}
	go spin()
}

// fork makes a copy of the process with this thread alone, which does nothing.
func fork() {
	if pid, _, _ := syscall.RawSyscall(syscall.SYS_FORK, 0, 0, 0); pid == 0 {
		for {
			_, _, _ = syscall.RawSyscall(syscall.SYS_PAUSE, 0, 0, 0)
		}
	}
}

func endless(event functions.Event) (string, error) {
	block := make([]byte, 1<<16)
	for {
		if _, err := event.Extensions.Response.Write(block); err != nil {
			return "", nil
		}
	}
}
