package sensitivity

// Ratio is what a parameter is to lose.
type Ratio struct {
	Param string  `json:"param"`
	Ratio float64 `json:"ratio"`
}

// Ratios returns, in the order of the curves, the largest ratio at which each parameter loses at most limit, as PaddleSlim's
// get_ratios_by_loss does: from the largest measured ratio down, the first point with loss <= limit, and from there on the line
// to the next point. A parameter that loses more at every point is left out.
func (c *Curves) Ratios(limit float64) []Ratio {
	var out []Ratio
	for _, k := range c.Curves {
		if r := k.ratio(limit); r > 0 {
			out = append(out, Ratio{k.Param, r})
		}
	}
	return out
}

// ratio is 0 where every point loses more than limit.
func (k *Curve) ratio(limit float64) float64 {
	for i := len(k.Points) - 1; i >= 0; i-- {
		p := k.Points[i]
		if !(p.Loss <= limit) {
			continue
		}
		if i == len(k.Points)-1 {
			return p.Ratio
		}
		next := k.Points[i+1]
		return p.Ratio + (limit-p.Loss)*(next.Ratio-p.Ratio)/(next.Loss-p.Loss)
	}
	return 0
}
