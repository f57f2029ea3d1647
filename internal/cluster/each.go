package cluster

import (
	"context"
	"errors"
	"sync"
)

// width is how many requests are under way at once.
const width = 8

// each calls f for the elements, several at once, until all are done or the context
// ends. The errors come in the order of the list.
func each[T any](ctx context.Context, list []T, f func(T) error) error {
	errs := make([]error, len(list))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(width, len(list)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = f(list[i])
			}
		})
	}
	var ended error
feed:
	for i := range list {
		select {
		case <-ctx.Done():
			ended = ctx.Err()
			break feed
		case next <- i:
		}
	}
	close(next)
	wg.Wait()
	return errors.Join(append(errs, ended)...)
}

// oneByOne makes f safe for use by several goroutines.
func oneByOne(f func(Event)) func(Event) {
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		f(e)
	}
}
