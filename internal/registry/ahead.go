package registry

import (
	"context"
	"net/http"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ahead is a push whose image is still being built. Meanwhile is done what needs
// no image: finding out by which scheme the registry speaks, the connection, the
// token, what the tag names now; and, once it is likely that the tag will change,
// beginning the uploads that an edit takes.
type ahead struct {
	repo  *Repository
	tag   string
	asked chan struct{} // closed when what follows is known
	now   v1.Descriptor // that the tag names
	err   error
	at    time.Time

	mu     sync.Mutex
	told   bool // a push has had the answer: the next one asks what that has left
	begun  bool
	spares []*spare // uploads that no blob has taken
}

// fresh is how long an answer to what a tag names is believed.
const fresh = 2 * time.Second

// perEdit is how many blobs an edit changes: a layer and the configuration.
const perEdit = 2

// spare is an upload that was begun before it was known of what.
type spare struct {
	done   chan struct{}
	answer *answer // nil if it could not be begun
}

// Prepare says that an image for the tag is being built. Close has to be called.
func (p *Pusher) Prepare(ctx context.Context, repo *Repository, tag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := repo.full(tag)
	if p.ahead[name] != nil {
		return
	}
	a := &ahead{repo: repo, tag: tag, asked: make(chan struct{})}
	p.ahead[name] = a
	ctx, cancel := context.WithCancel(ctx)
	p.ends = append(p.ends, cancel)
	p.preparing.Go(func() {
		defer close(a.asked)
		a.now, a.err = repo.Resolve(ctx, tag)
		a.at = time.Now()
	})
}

// Changing says that what is being built differs from what was built before. For
// the tags that were pushed before, the uploads of an edit are begun.
func (p *Pusher) Changing(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.ahead {
		p.deciding.Go(func() {
			if p.notesFor(a.repo).knows(a.repo, a.tag) {
				a.begin(ctx, &p.preparing)
			}
		})
	}
}

func (a *ahead) begin(ctx context.Context, all *sync.WaitGroup) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return
	}
	a.begun = true
	for range perEdit {
		s := &spare{done: make(chan struct{})}
		a.spares = append(a.spares, s)
		all.Go(func() {
			defer close(s.done)
			// The upload that finds none here tells what is wrong.
			begun, err := a.repo.beginUpload(ctx)
			if err == nil && begun.header.Get("Location") != "" {
				s.answer = begun
			}
		})
	}
}

// resolve is what the tag names now.
func (a *ahead) resolve(ctx context.Context, repo *Repository, tag string) (v1.Descriptor, error) {
	if a.first() {
		select {
		case <-a.asked:
		case <-ctx.Done():
			return v1.Descriptor{}, context.Cause(ctx)
		}
		if time.Since(a.at) < fresh {
			return a.now, a.err
		}
	}
	return repo.Resolve(ctx, tag)
}

func (a *ahead) first() bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	first := !a.told
	a.told = true
	return first
}

// take returns an upload that was begun and that no blob has, nil if there is none.
func (a *ahead) take() *spare {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.spares) == 0 {
		return nil
	}
	s := a.spares[0]
	a.spares = a.spares[1:]
	return s
}

// wait returns the registry's answer, nil if the upload could not be begun.
func (s *spare) wait(ctx context.Context) *answer {
	if s == nil {
		return nil
	}
	select {
	case <-s.done:
		return s.answer
	case <-ctx.Done():
		return nil
	}
}

// withdrawFor bounds how long the end of a command waits for a registry to take
// back uploads that were begun for nothing; it would drop them by itself one day.
const withdrawFor = 2 * time.Second

// Close ends what was prepared and not used.
func (p *Pusher) Close() {
	p.mu.Lock()
	for _, cancel := range p.ends {
		cancel()
	}
	list := p.ahead
	p.ahead, p.ends = map[string]*ahead{}, nil
	p.mu.Unlock()
	p.deciding.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), withdrawFor)
	defer cancel()
	var wg sync.WaitGroup
	for _, a := range list {
		for s := a.take(); s != nil; s = a.take() {
			wg.Go(func() { a.repo.withdraw(ctx, s.wait(ctx)) })
		}
	}
	wg.Wait()
	p.preparing.Wait()
}

// beginUpload asks the registry to take a blob.
func (r *Repository) beginUpload(ctx context.Context) (*answer, error) {
	return r.host.once(ctx, call{
		method: http.MethodPost, path: r.Path() + "/blobs/uploads/", accept: []int{http.StatusAccepted}, scopes: []string{r.scope()},
	})
}

// withdraw ends an upload of which nothing was sent.
func (r *Repository) withdraw(ctx context.Context, begun *answer) {
	if begun == nil {
		return
	}
	at, err := begun.location()
	if err != nil {
		return
	}
	// A registry that knows no such request drops it in time.
	_, _ = r.host.once(ctx, call{method: http.MethodDelete, path: at, accept: []int{http.StatusNoContent}, scopes: []string{r.scope()}})
}
