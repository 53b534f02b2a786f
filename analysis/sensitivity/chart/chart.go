// Package chart draws sensitivity curves: the loss of each parameter over the share of its channels that goes.
package chart

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"onnxprune/analysis/sensitivity"
)

// Sizes of a drawing. The legend stands beside the plot, a line for each curve.
const (
	plotWidth  = 16 * vg.Centimeter
	minHeight  = 11 * vg.Centimeter
	lineHeight = vg.Length(13) // points
	perLetter  = vg.Length(5)  // points, of the legend's font, on average
)

// Okabe and Ito's colours, which the colour-blind can tell apart (https://jfly.uni-koeln.de/color/); dashes tell those of one colour apart.
var (
	colours = []color.RGBA{{0, 0, 0, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {0, 158, 115, 255}, {0, 114, 178, 255}, {213, 94, 0, 255}, {204, 121, 167, 255}}
	dashes  = [][]vg.Length{nil, {vg.Points(6), vg.Points(3)}, {vg.Points(1.5), vg.Points(2)}, {vg.Points(6), vg.Points(2), vg.Points(1.5), vg.Points(2)}}
	shapes  = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}}
)

// Formats are the endings of file names that Draw knows.
var Formats = []string{".svg", ".png", ".html"}

// Draw returns the drawing of curves as a file of the format that the name ends in.
func Draw(c *sensitivity.Curves, name string) ([]byte, error) {
	if c.Points() == 0 {
		return nil, fmt.Errorf("the curves have no point to draw")
	}
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".svg":
		return svg(c)
	case ".png":
		return png(c)
	case ".html":
		return html(c)
	default:
		return nil, fmt.Errorf("%q ends in none of %s", name, strings.Join(Formats, ", "))
	}
}

// drawing makes the plot and its legend.
func drawing(c *sensitivity.Curves) (p *plot.Plot, legend plot.Legend, width, height vg.Length, err error) {
	p = plot.New()
	p.Title.Text = title(c)
	p.X.Label.Text = "share of the parameter's channels that is removed"
	p.Y.Label.Text = "loss of " + metric(c) + ", as a share of the whole model's"
	p.Add(plotter.NewGrid())
	legend = plot.NewLegend()
	legend.Top, legend.Left = true, true
	legend.TextStyle.Font.Size = vg.Points(9)
	legend.Padding = vg.Points(2)
	legend.ThumbnailWidth = vg.Points(28)
	longest, least, most, n := 0, 0., 0., 0
	for _, k := range c.Curves {
		if len(k.Points) == 0 {
			continue
		}
		xys := plotter.XYs{{X: 0, Y: 0}} // nothing removed, nothing lost
		for _, v := range k.Points {
			xys = append(xys, plotter.XY{X: v.Ratio, Y: v.Loss})
			least, most = min(least, v.Loss), max(most, v.Loss)
		}
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, legend, 0, 0, err
		}
		line.Color = colours[n%len(colours)]
		line.Width = vg.Points(1.2)
		line.Dashes = dashes[n/len(colours)%len(dashes)]
		points.Color = line.Color
		points.Radius = vg.Points(2)
		points.Shape = shapes[n/len(colours)%len(shapes)]
		p.Add(line, points)
		legend.Add(k.Param, line, points)
		longest = max(longest, len(k.Param))
		n++
	}
	p.X.Min, p.X.Max = 0, 1
	p.Y.Min, p.Y.Max = math.Max(least, -1), math.Max(most, 0.1)
	width = plotWidth + legend.ThumbnailWidth + vg.Length(longest)*perLetter + vg.Centimeter
	height = max(minHeight, vg.Length(n+2)*lineHeight)
	return p, legend, width, height, nil
}

func title(c *sensitivity.Curves) string {
	if c.Setting.Model == "" {
		return "Sensitivity"
	}
	return fmt.Sprintf("Sensitivity of %s (%d pictures, %s %.4g)", c.Setting.Model, c.Setting.Pictures, metric(c), c.Baseline)
}

func metric(c *sensitivity.Curves) string {
	if c.Setting.Metric == "" {
		return "the metric"
	}
	return c.Setting.Metric
}

func onto(c vg.CanvasSizer, p *plot.Plot, legend plot.Legend) {
	all := draw.New(c)
	p.Draw(draw.Crop(all, 0, plotWidth-all.Max.X, 0, 0))
	legend.Draw(draw.Crop(all, plotWidth+vg.Centimeter/2, 0, 0, -vg.Centimeter))
}

func svg(c *sensitivity.Curves) ([]byte, error) {
	p, legend, w, h, err := drawing(c)
	if err != nil {
		return nil, err
	}
	canvas := vgsvg.New(w, h)
	onto(canvas, p, legend)
	var b bytes.Buffer
	_, err = canvas.WriteTo(&b)
	return b.Bytes(), err
}

func png(c *sensitivity.Curves) ([]byte, error) {
	p, legend, w, h, err := drawing(c)
	if err != nil {
		return nil, err
	}
	canvas := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(150), vgimg.UseBackgroundColor(color.White))
	onto(canvas, p, legend)
	var b bytes.Buffer
	_, err = vgimg.PngCanvas{Canvas: canvas}.WriteTo(&b)
	return b.Bytes(), err
}

// page holds the drawing and all its numbers, without anything from elsewhere.
var page = template.Must(template.New("page").Funcs(template.FuncMap{"loss": func(v float64) string { return fmt.Sprintf("%.4f", v) }}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:14px sans-serif;margin:2em} table{border-collapse:collapse} td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd} td:first-child,th:first-child{text-align:left} svg{max-width:100%;height:auto}</style>
</head><body><h1>{{.Title}}</h1>
{{.SVG}}
<table><thead><tr><th>parameter</th><th>channels</th><th>ratio</th><th>removed</th><th>metric</th><th>loss</th></tr></thead><tbody>
{{range $k := .Curves}}{{range .Points}}<tr><td>{{$k.Param}}</td><td>{{$k.Channels}}</td><td>{{.Ratio}}</td><td>{{.Removed}}</td><td>{{loss .Metric}}</td><td>{{loss .Loss}}</td></tr>
{{end}}{{end}}</tbody></table></body></html>
`))

func html(c *sensitivity.Curves) ([]byte, error) {
	s, err := svg(c)
	if err != nil {
		return nil, err
	}
	if at := bytes.Index(s, []byte("<svg")); at > 0 { // without the XML declaration
		s = s[at:]
	}
	var b bytes.Buffer
	err = page.Execute(&b, struct {
		Title  string
		SVG    template.HTML
		Curves []sensitivity.Curve
	}{title(c), template.HTML(s), c.Curves})
	return b.Bytes(), err
}
