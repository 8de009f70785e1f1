package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The plot's colours: told apart by the colour-blind too (Okabe and Ito), on white, so
// that it reads the same on a dark page.
var plotted = []struct {
	name   string
	color  color.RGBA
	dashes []vg.Length
}{
	{bySecret, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, nil},
	{multiauth, color.RGBA{0x00, 0x72, 0xb2, 0xff}, []vg.Length{vg.Points(5), vg.Points(2)}},
	{viaAzurepg, color.RGBA{0x00, 0x9e, 0x73, 0xff}, nil},
}

// draw draws the section outage: the median connect of each step of time, and above
// the steps in which connects failed.
func (r *report) draw(file string) error {
	if r.outage == nil {
		return errors.New("the plot shows the section outage, which -only has left out")
	}
	p, err := r.outage.plot()
	if err != nil {
		return err
	}
	w, err := p.WriterTo(9*vg.Inch, 4.5*vg.Inch, "svg")
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if _, err := w.WriteTo(&svg); err != nil {
		return err
	}
	// Where that font is missing, others are as wide.
	text := bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif"))
	return os.WriteFile(file, text, 0o644)
}

const (
	plotLow, plotHigh = 1, 30e3 // milliseconds
	failedAt          = 60e3    // where the first row of failures is drawn
	plotTop           = failedAt * 8
)

func (o *outage) plot() (*plot.Plot, error) {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.BackgroundColor = color.White
	p.X.Label.Text = "seconds"
	p.Y.Label.Text = "median time to connect"
	p.X.Min, p.X.Max = 0, o.script.end().Seconds()
	p.X.Tick.Marker = plot.ConstantTicks(secondTicks(o.script.end()))
	p.Y.Min, p.Y.Max = plotLow, plotTop
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(ticks())
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs = vg.Points(6)
	if err := o.shade(p); err != nil {
		return nil, err
	}
	for i, style := range plotted {
		for _, s := range o.series {
			if s.name != style.name {
				continue
			}
			if err := o.line(p, s, i); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func secondTicks(end time.Duration) (ticks []plot.Tick) {
	const step = 10
	for at := 0; at <= int(end.Seconds()); at += step {
		ticks = append(ticks, plot.Tick{Value: float64(at), Label: fmt.Sprint(at)})
	}
	return ticks
}

func ticks() []plot.Tick {
	return []plot.Tick{
		{Value: 1, Label: "1 ms"}, {Value: 10, Label: "10 ms"}, {Value: 100, Label: "100 ms"},
		{Value: 1e3, Label: "1 s"}, {Value: 1e4, Label: "10 s"}, {Value: failedAt * 2, Label: "failed"},
	}
}

// shade marks when the service is slow, and when it is down.
func (o *outage) shade(p *plot.Plot) error {
	for _, r := range o.script.renewals() {
		from, to := o.script.slowness(r)
		if err := band(p, from, to, color.RGBA{0xff, 0xf1, 0xcc, 0xff}, fmt.Sprint("slow: ", o.script.slow)); err != nil {
			return err
		}
	}
	return band(p, o.script.down(), o.script.up(), color.RGBA{0xe4, 0xe4, 0xe4, 0xff}, fmt.Sprint("down: ", o.script.outage))
}

func band(p *plot.Plot, from, to time.Duration, c color.Color, label string) error {
	a, b := from.Seconds(), to.Seconds()
	area, err := plotter.NewPolygon(plotter.XYs{{X: a, Y: p.Y.Min}, {X: b, Y: p.Y.Min}, {X: b, Y: p.Y.Max}, {X: a, Y: p.Y.Max}})
	if err != nil {
		return err
	}
	area.Color, area.LineStyle.Width = c, 0
	text, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: a, Y: plotLow * 1.2}}, Labels: []string{" " + label}})
	if err != nil {
		return err
	}
	text.TextStyle[0].Font.Variant = "Sans"
	p.Add(area, text)
	return nil
}

// line draws s: a line, broken where connects failed and none got through, and squares for
// the steps with failures.
func (o *outage) line(p *plot.Plot, s *series, i int) error {
	style := plotted[i]
	parts, failed := o.steps(s)
	for n, part := range parts {
		line, err := plotter.NewLine(part)
		if err != nil {
			return err
		}
		line.Color, line.Width, line.Dashes = style.color, vg.Points(1.5), style.dashes
		p.Add(line)
		if n == 0 {
			p.Legend.Add(s.name, line)
		}
	}
	for n := range failed {
		failed[n].Y = failedAt * math.Pow(2, float64(i)) // a row for each
	}
	if len(failed) == 0 {
		return nil
	}
	marks, err := plotter.NewScatter(failed)
	if err != nil {
		return err
	}
	marks.GlyphStyle = draw.GlyphStyle{Color: style.color, Radius: vg.Points(1.5), Shape: draw.BoxGlyph{}}
	p.Add(marks)
	return nil
}

// steps returns the median connect of each step, in parts that hang together, and the
// steps in which connects failed.
func (o *outage) steps(s *series) (parts []plotter.XYs, failed plotter.XYs) {
	const step = time.Second
	var part plotter.XYs
	for at := time.Duration(0); at < o.script.end(); at += step {
		ms, n := s.between(at, at+step)
		x := (at + step/2).Seconds()
		if n > 0 {
			failed = append(failed, plotter.XY{X: x})
		}
		if len(ms) > 0 {
			part = append(part, plotter.XY{X: x, Y: min(max(ms.median(), plotLow), plotHigh)})
		} else if len(part) > 0 {
			parts, part = append(parts, part), nil
		}
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts, failed
}
