package main

import (
	"fmt"
	"math"
	"strings"
)

type point struct{ x, y float64 }

type curve struct {
	name   string
	points []point
}

// draw draws curves over factors, both axes in powers of ten.
func draw(curves []curve) string {
	const width, height, left, bottom, top, right = 640, 340, 50, 45, 20, 200
	low, high, most := math.Inf(1), math.Inf(-1), 1.0
	for _, c := range curves {
		for _, p := range c.points {
			low, high, most = min(low, math.Floor(math.Log10(p.y))), max(high, math.Ceil(math.Log10(p.y))), max(most, p.x)
		}
	}
	x := func(v float64) float64 { return left + math.Log10(v)/math.Log10(most)*(width-left-right) }
	y := func(v float64) float64 {
		return height - bottom - (math.Log10(v)-low)/(high-low)*(height-bottom-top)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	for p := low; p <= high; p++ {
		v := math.Pow(10, p)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%g</text>`+"\n",
			left, width-right, y(v), y(v), left-8, y(v)+4, v)
	}
	for v := 1.0; v <= most; v *= 10 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%g×</text>`+"\n", x(v), height-bottom+20, v)
	}
	free := math.Inf(1) // above the name that was written last
	for i, c := range curves {
		color := []string{"#1f6feb", "#1a7f37", "#cf222e", "#8250df"}[i%4]
		var points []string
		for _, p := range c.points {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(p.x), y(p.y)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x(p.x), y(p.y), color)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color)
		at := y(c.points[len(c.points)-1].y) + 4
		if math.Abs(at-free) < 14 { // names must not overlap
			at = free + 15
		}
		free = at
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", width-right+10, at, color, c.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#555">how much there is of what grows</text>`+"\n</svg>\n", (left+width-right)/2, height-8)
	return b.String()
}
