package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sample is one measurement of one contender.
type sample struct {
	// value is what the row compares, in the row's unit.
	value float64
	// rate is work per second of the clock; zero where it says nothing.
	rate float64
	// The time that one piece of work took; zero where it says nothing.
	p50, p99, max time.Duration
}

// contender does a row's work once. It returns an error where the work came out
// wrong.
type contender struct {
	name    string
	measure func(context.Context, settings) (sample, error)
}

// row is one table of the results.
type row struct {
	name       string
	title      string
	unit       string // of sample.value
	emulator   bool   // contenders that are neither a ceiling nor a peer are this emulator
	less       bool   // a smaller value is better
	contenders []contender
	// targets are judged on the medians.
	targets []target
	// note explains figures that need it.
	note string
	// extra is put under the table; it may be nil.
	extra func(context.Context, settings) (string, error)
}

// target is a goal for the quotient of two contenders, or for one alone.
type target struct {
	text  string
	a, b  string // contenders; no b: the figure itself
	field func(sample) float64
	goal  float64 // zero: none, the figure is only shown
	most  bool    // the goal is an upper bound
}

func value(s sample) float64 { return s.value }
func p99(s sample) float64   { return s.p99.Seconds() }

func (r row) measure(ctx context.Context, s settings) (string, error) {
	samples := make(map[string][]sample)
	for range s.rounds {
		for _, c := range r.contenders {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			one, err := c.measure(ctx, s)
			if err != nil {
				return "", fmt.Errorf("%s: %w", c.name, err)
			}
			samples[c.name] = append(samples[c.name], one)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", r.title)
	r.writeFigures(&b, samples)
	r.writeTargets(&b, samples)
	if r.note != "" {
		b.WriteString("\n" + r.note + "\n")
	}
	if r.extra != nil {
		text, err := r.extra(ctx, s)
		if err != nil {
			return "", err
		}
		b.WriteString("\n" + text)
	}
	return b.String(), nil
}

func (r row) writeFigures(b *strings.Builder, samples map[string][]sample) {
	if len(r.contenders) == 0 {
		return
	}
	timed := slices.ContainsFunc(r.contenders, func(c contender) bool { return samples[c.name][0].p99 > 0 })
	paced := slices.ContainsFunc(r.contenders, func(c contender) bool { return samples[c.name][0].rate > 0 })
	header := []string{"contender", r.unit + ": median (least – most)"}
	if paced {
		header = append(header, "per second")
	}
	if timed {
		header = append(header, "p50", "p99", "max")
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, c := range r.contenders {
		all := samples[c.name]
		mid, least, most := spread(all, value)
		cells := []string{c.name, fmt.Sprintf("%s (%s – %s)", figure(mid), figure(least), figure(most))}
		if paced {
			m, _, _ := spread(all, func(s sample) float64 { return s.rate })
			cells = append(cells, figure(m))
		}
		if timed {
			for _, f := range []func(sample) time.Duration{
				func(s sample) time.Duration { return s.p50 },
				func(s sample) time.Duration { return s.p99 },
				func(s sample) time.Duration { return s.max },
			} {
				m, _, _ := spread(all, func(s sample) float64 { return float64(f(s)) })
				cells = append(cells, time.Duration(m).Round(time.Microsecond).String())
			}
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func (r row) writeTargets(b *strings.Builder, samples map[string][]sample) {
	for _, t := range r.targets {
		got, _, _ := spread(samples[t.a], t.field)
		unit := ""
		if t.b != "" {
			other, _, _ := spread(samples[t.b], t.field)
			got /= other
			unit = "×"
		}
		if t.goal == 0 {
			fmt.Fprintf(b, "\n- %s: **%s%s**", t.text, figure(got), unit)
			continue
		}
		verdict := "**missed**"
		if (t.most && got <= t.goal) || (!t.most && got >= t.goal) {
			verdict = "met"
		}
		bound := "at least"
		if t.most {
			bound = "at most"
		}
		fmt.Fprintf(b, "\n- %s: **%s%s** (%s %s%s: %s)", t.text, figure(got), unit, bound, figure(t.goal), unit, verdict)
	}
	if len(r.targets) > 0 {
		b.WriteString("\n")
	}
}

// spread returns the median, the smallest and the largest.
func spread(all []sample, field func(sample) float64) (mid, least, most float64) {
	var v []float64
	for _, s := range all {
		v = append(v, field(s))
	}
	slices.Sort(v)
	mid = v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (mid + v[len(v)/2-1]) / 2
	}
	return mid, v[0], v[len(v)-1]
}

// figure writes a number with three digits that mean something.
func figure(f float64) string {
	switch {
	case f >= 1e6:
		return fmt.Sprintf("%.2f M", f/1e6)
	case f >= 1e4:
		return fmt.Sprintf("%.1f k", f/1e3)
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// percentiles returns p50, p99 and the maximum. It sorts in place.
func percentiles[T cmp.Ordered](v []T) (p50, p99, most T) {
	if len(v) == 0 {
		return p50, p99, most
	}
	slices.Sort(v)
	return v[len(v)/2], v[min(len(v)-1, len(v)*99/100)], v[len(v)-1]
}
