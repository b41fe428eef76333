package main

import (
	"fmt"
	"math"
	"strings"
)

// curves draws the costs over the factors, both axes in powers of ten.
func curves(costs map[string][]float64) string {
	const width, height, left, bottom, top, right = 560, 320, 70, 45, 20, 130
	least, most := math.Inf(1), 0.0
	for _, c := range costs {
		for _, v := range c {
			least, most = min(least, v), max(most, v)
		}
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	x := func(i int) float64 { return left + float64(i)*(width-left-right)/float64(len(factors)-1) }
	y := func(v float64) float64 {
		return height - bottom - (math.Log10(v)-low)/(high-low)*(height-bottom-top)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	for p := low; p <= high; p++ {
		v := math.Pow(10, p)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%g µs</text>`+"\n",
			left, width-right, y(v), y(v), left-8, y(v)+4, v)
	}
	for i, f := range factors {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%d×</text>`+"\n", x(i), height-bottom+20, f)
	}
	for i, g := range growths {
		colour := []string{"#1f6feb", "#1a7f37", "#cf222e"}[i%3]
		var points []string
		for j, v := range costs[g.name] {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(j), y(v)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x(j), y(v), colour)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
		last := costs[g.name][len(costs[g.name])-1]
		// The two flat curves end close together: their names must not overlap.
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", width-right+10, y(last)+4+float64(i%2)*14, colour, g.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#555">how much there is of it</text>`+"\n</svg>\n", (left+width-right)/2, height-8)
	return b.String()
}
