package term

import (
	"fmt"
	"strings"
	"testing"
)

func TestLiveDrawsOver(t *testing.T) {
	s := newScreen(t, 40, 10)
	fmt.Fprint(s, "$ labstar run\n")
	l := NewLive(s.term(), s)
	l.Draw([]string{"one", "two", "three"})
	s.want("first frame", "$ labstar run\none\ntwo\nthree")
	l.Draw([]string{"1", "two"})
	s.want("fewer lines", "$ labstar run\n1\ntwo")
	if !s.hidden {
		t.Error("the cursor is shown while the region lives")
	}
	before := s.writes
	l.Draw([]string{"1", "two"})
	if s.writes != before {
		t.Error("an equal frame was written again")
	}
	l.Print("stays\n")
	l.Print("stays too\n")
	s.want("nothing is printed before the next frame", "$ labstar run\n1\ntwo")
	l.Draw([]string{"1", "2"})
	s.want("print", "$ labstar run\nstays\nstays too\n1\n2")
	if s.writes != before+1 {
		t.Errorf("got %d writes for a frame, want 1", s.writes-before)
	}
	l.Print("last words\n")
	l.Close()
	s.want("close", "$ labstar run\nstays\nstays too\nlast words")
	if s.hidden {
		t.Error("the cursor is still hidden after Close")
	}
	l.Draw([]string{"late"})
	l.Print("after\n")
	l.Close()
	s.want("after close", "$ labstar run\nstays\nstays too\nlast words\nafter")
}

func TestLiveCutsToTheTerminal(t *testing.T) {
	s := newScreen(t, 10, 4)
	l := NewLive(s.term(), s)
	l.Draw([]string{"a", "b", "c", "d", "0123456789 and more"})
	s.want("narrow and low", "c\nd\n01234567…")
	for i := range 20 {
		l.Draw([]string{"a", "b", "c", fmt.Sprint("frame ", i), "0123456789 and more"})
	}
	s.want("many frames", "c\nframe 19\n01234567…")
	if len(s.scrolled) != 0 {
		t.Errorf("frames scrolled the screen: %q", s.scrolled)
	}
}

func TestLivePrintsLongLinesWhole(t *testing.T) {
	s := newScreen(t, 10, 8)
	l := NewLive(s.term(), s)
	l.Draw([]string{"live"})
	l.Print("0123456789abcdefghij\nshort\n")
	l.Draw([]string{"live"})
	s.want("wrapped", "0123456789\nabcdefghij\nshort\nlive")
}

func TestLiveSurvivesResize(t *testing.T) {
	s := newScreen(t, 40, 12)
	fmt.Fprint(s, "$ labstar run\n")
	l := NewLive(s.term(), s)
	long := strings.Repeat("x", 35)
	l.Draw([]string{"one", long, "three"})
	s.resize(20)
	l.Draw([]string{"one", long, "three"})
	s.want("narrower", "$ labstar run\none\n"+strings.Repeat("x", 18)+"…\nthree")
	s.resize(60)
	l.Draw([]string{"one", long, "three"})
	s.want("wider", "$ labstar run\none\n"+long+"\nthree")
}

func TestLiveScrollsAtTheBottom(t *testing.T) {
	s := newScreen(t, 20, 5)
	l := NewLive(s.term(), s)
	for i := range 10 {
		l.Print(fmt.Sprintf("line %d\n", i))
		l.Draw([]string{"live 1", fmt.Sprint("live 2 after ", i)})
	}
	s.want("bottom", "line 8\nline 9\nlive 1\nlive 2 after 9")
	if got := strings.Join(s.scrolled, ","); got != "line 0,line 1,line 2,line 3,line 4,line 5,line 6,line 7" {
		t.Errorf("scrolled away: %s", got)
	}
}
