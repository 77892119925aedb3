//go:build go1.24

package plugin

import (
	"strings"
	"testing"
)

func TestAStackIsFoundByItsGoroutine(t *testing.T) {
	numbers, release := make(chan uint64), make(chan struct{})
	for range 3 {
		go func() {
			numbers <- thisGoroutine()
			<-release
		}()
	}
	seen := map[uint64]bool{}
	for range 3 {
		seen[<-numbers] = true
	}
	if len(seen) != 3 || seen[0] {
		t.Fatalf("goroutines %v", seen)
	}
	stacks := allStacks()
	for number := range seen {
		if stackOf(stacks, number) == "" {
			t.Errorf("no stack of goroutine %d in\n%s", number, stacks)
		}
	}
	close(release)
	if found := stackOf(stacks, 0) + stackOf(stacks, 1<<60); found != "" {
		t.Errorf("found %q", found)
	}
}

func TestTheFramesOfTheHostAreLeftOut(t *testing.T) {
	stacks := "goroutine 7 [running]:\nmain.one()\n\t/one.go:1 +0x1\n\n" +
		"goroutine 17 [sleep]:\ntime.Sleep(0x1)\n\t/time.go:3 +0x1\nmain.two(...)\n\t/two.go:2\n" +
		ours + "invoke(0x0)\n\t/invoke.go:1 +0x2\ncreated by " + ours + "start\n\t/pool.go:1 +0x3\n"
	got := stackOf(stacks, 17)
	if !strings.HasSuffix(got, "main.two(...)\n\t/two.go:2") || !strings.HasPrefix(got, "goroutine 17 [sleep]:\n") {
		t.Errorf("got %q", got)
	}
	if got := stackOf(stacks, 7); !strings.Contains(got, "main.one()") {
		t.Errorf("got %q", got)
	}
}
