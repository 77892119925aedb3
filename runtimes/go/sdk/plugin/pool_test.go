//go:build go1.24

package plugin

import (
	"runtime"
	"sync"
	"testing"
)

func TestThePoolRunsEveryJobAtOnce(t *testing.T) {
	const jobs = 1000
	var all sync.WaitGroup
	all.Add(jobs)
	release := make(chan struct{})
	p := newPool(func(int, uint64) {
		all.Done()
		<-release
	})
	for job := range jobs {
		p.start(job)
	}
	// Every job has begun, although none has ended.
	all.Wait()
	close(release)
}

func TestThePoolKeepsGoroutinesAndUsesThemAgain(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	p := newPool(func(int, uint64) {
		begun <- struct{}{}
		<-release
	})
	for job := range 4 * maxIdle {
		p.start(job)
		<-begun
	}
	for range 4 * maxIdle {
		release <- struct{}{}
	}
	for p.idle.Load() != maxIdle {
		runtime.Gosched() // The others end.
	}
	// Idle goroutines may still be on their way to where they wait, so the first ones can be new.
	for used := false; !used; {
		p.start(0)
		<-begun
		used = p.idle.Load() < maxIdle
		release <- struct{}{}
	}
}

func TestThePoolSurvivesAJobThatEndsItsGoroutine(t *testing.T) {
	ended := make(chan struct{})
	p := newPool(func(exit bool, _ uint64) {
		defer func() { ended <- struct{}{} }()
		if exit {
			runtime.Goexit()
		}
	})
	for _, exit := range []bool{false, true, false, true, false} {
		p.start(exit)
		<-ended
	}
	if idle := p.idle.Load(); idle < 0 {
		t.Fatal(idle)
	}
}
