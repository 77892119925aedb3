//go:build go1.24

package plugin

import (
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// The stacks of so many bytes are looked at. Stopping all goroutines to write down more would cost those in time.
const mostStacks = 4 << 20

// thisGoroutine is the number by which Go's own stacks know the calling goroutine. There is no other way to it.
func thisGoroutine() uint64 {
	var buffer [64]byte
	text := string(buffer[:runtime.Stack(buffer[:], false)])
	number, _, _ := strings.Cut(strings.TrimPrefix(text, "goroutine "), " ")
	goroutine, _ := strconv.ParseUint(number, 10, 64)
	return goroutine
}

// allStacks is where all goroutines are at one moment.
func allStacks() string {
	for size := 64 << 10; ; size *= 4 {
		buffer := make([]byte, size)
		if n := runtime.Stack(buffer, true); n < size || size >= mostStacks {
			return string(buffer[:n])
		}
	}
}

// stackOf finds the stack of one goroutine, without the frames that are ours. It is empty when it is not there.
func stackOf(stacks string, goroutine uint64) string {
	head := "goroutine " + strconv.FormatUint(goroutine, 10) + " ["
	at := strings.Index("\n\n"+stacks, "\n\n"+head)
	if goroutine == 0 || at < 0 {
		return ""
	}
	stack, _, _ := strings.Cut(stacks[at:], "\n\n")
	lines := strings.Split(strings.TrimRight(stack, "\n"), "\n")
	// Two lines a frame: what is called, and where it is. The outermost are ours.
	for len(lines) > 2 {
		frame := strings.TrimPrefix(lines[len(lines)-2], "created by ")
		if !strings.HasPrefix(frame, ours) {
			break
		}
		lines = lines[:len(lines)-2]
	}
	return strings.Join(lines, "\n")
}

// ours is how the names of this package's functions begin in stacks.
var ours = reflect.TypeFor[exchange]().PkgPath() + "."
