package schema

import (
	"slices"
	"strings"
)

// architectures are other names of ours, without what counts for nothing: by its
// letters "amd64" is nearest to "arm64", which it is not.
var architectures = map[string]string{"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}

// Suggest returns the candidate that got was most likely meant to be, or "" if
// none is near. Case and the characters "-", "_" and "." count for nothing;
// swapped neighbours count as one slip.
func Suggest(got string, candidates []string) string {
	norm := normal(got)
	if norm == "" || len(norm) > 100 {
		return ""
	}
	if same := architectures[norm]; same != "" && slices.Contains(candidates, same) {
		return same
	}
	limit := max(1, (len(norm)+1)/3)
	best, bestDist := "", limit+1
	for _, cand := range candidates {
		if cand == "" || cand == got {
			continue
		}
		c := normal(cand)
		dist := distance(norm, c, bestDist+1) // so that a tie is told from what is further
		if len(norm) >= 3 && dist >= bestDist && (strings.HasPrefix(c, norm) || len(c) >= 3 && strings.HasPrefix(norm, c)) {
			dist = limit // an abbreviation, or a word too many
		}
		if len(norm) >= 3 && dist >= bestDist && best == "" && abbreviates(norm, c) {
			dist = limit
		}
		if dist < bestDist || dist == bestDist && best != "" && better(norm, c, normal(best)) {
			best, bestDist = cand, dist
		}
	}
	return best
}

// better breaks a tie: what starts with the same letter is meant.
func better(got, cand, best string) bool {
	return cand != "" && best != "" && cand[0] == got[0] && best[0] != got[0]
}

// abbreviates reports whether short is what is left of long without some of its
// letters, the first kept: "opts" of "options", "src" of "source".
func abbreviates(short, long string) bool {
	if long == "" || short[0] != long[0] || len(long) > 3*len(short) {
		return false
	}
	i := 0
	for j := 0; j < len(long) && i < len(short); j++ {
		if short[i] == long[j] {
			i++
		}
	}
	return i == len(short)
}

func normal(s string) string {
	clean := func(r rune) rune {
		switch {
		case r == '-' || r == '_' || r == '.':
			return -1
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}
	return strings.Map(clean, s)
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours between a and b, or limit if it is not below that.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		low := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, prev2[j-2]+1)
			}
			cur[j] = d
			low = min(low, d)
		}
		if low > limit {
			return limit
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit)
}

// didYouMean is " (did you mean X?)" or "".
func didYouMean(got string, candidates []string) string {
	if s := Suggest(got, candidates); s != "" {
		return ` (did you mean "` + s + `"?)`
	}
	return ""
}
