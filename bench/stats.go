package main

import (
	"math"
	"slices"
)

// sample are values of one thing, as they came.
type sample []float64

// quantile returns the value below which the part q of s lies; 0 of an empty s.
func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// least is what s comes down to in one round of ten: not the lowest of all, since now and
// then a round saves what others need.
func (s sample) least() float64 { return s.quantile(0.1) }

func (s sample) median() float64 { return s.quantile(0.5) }
func (s sample) max() float64    { return s.quantile(1) }

// over returns the ratios of s to limit, round by round: what the machine does to one
// it does to both.
func (s sample) over(limit sample) sample {
	ratios := make(sample, min(len(s), len(limit)))
	for i := range ratios {
		ratios[i] = s[i] / limit[i]
	}
	return ratios
}

// interval is where the true median is, with a certainty of 95 %, whatever the values'
// distribution: the ranks of the binomial one.
// Source: W. J. Conover, Practical Nonparametric Statistics, 3rd edition, 3.2.
func (s sample) interval() (low, high float64) {
	if len(s) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := float64(len(sorted))
	half := 1.96 * math.Sqrt(n) / 2
	at := func(rank float64) float64 {
		return sorted[int(min(max(rank, 0), n-1))]
	}
	return at(math.Floor(n/2 - half)), at(math.Ceil(n/2 + half))
}

// further is how many rounds there are at most beyond those planned.
const further = 300

// another reports whether a round is to follow after so many: those planned, and more
// where not all has been seen yet that is exact. On a busy machine a few rounds may all
// hold something else.
func another(rounds, planned int, seen func() bool) bool {
	return rounds < planned || rounds < planned+further && !seen()
}
