//go:build go1.24

package plugin

import "sync/atomic"

// maxIdle is how many goroutines wait for the next call instead of ending with theirs.
const maxIdle = 64

// pool runs jobs, each at once and on a goroutine of its own. A goroutine that has served before has its stack grown
// already, which costs as much as all else that a short call needs from Go's runtime.
type pool[T any] struct {
	run     func(job T, goroutine uint64)
	handoff chan T
	idle    atomic.Int32
}

func newPool[T any](run func(job T, goroutine uint64)) *pool[T] {
	return &pool[T]{run: run, handoff: make(chan T)}
}

// start never waits: when no goroutine is idle, there will be one more.
func (p *pool[T]) start(job T) {
	select {
	case p.handoff <- job:
	default:
		go p.work(job)
	}
}

func (p *pool[T]) work(job T) {
	// Asked for once for all the jobs of this goroutine.
	goroutine := thisGoroutine()
	for {
		p.run(job, goroutine)
		if p.idle.Add(1) > maxIdle {
			p.idle.Add(-1)
			return
		}
		job = <-p.handoff
		p.idle.Add(-1)
	}
}
