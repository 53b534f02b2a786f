package kernels

// Convolution as a matrix product: weights (output channels x taps*channels)
// times patches (taps*channels x output positions). The terms are ordered tap by
// tap and by channel within a tap: whether a tap falls on padding depends on the
// tap alone, so one decision serves all channels.

// gemmPath holds the packed weights, one matrix per group.
type gemmPath struct {
	tier    *tier
	weights []*PackedA
	// pointwise is set where patches are the input itself.
	pointwise bool
}

func newGemmPath(p *Pool, plan *ConvPlan, weights []float32) *gemmPath {
	c := &plan.conv
	taps, perGroup, rows := volume(c.Kernel), c.InChannels/c.Groups, c.OutChannels/c.Groups
	path := &gemmPath{tier: plan.tier, pointwise: c.pointwise()}
	k := taps * perGroup
	for group := range c.Groups {
		packed := newPackedA(plan.tier, rows, k, p.depthBlock(k))
		packed.data = make([]float32, rows*k)
		p.Do(packed.panels(), grainFor(packed.mr*k), func(lo, hi int) {
			ordered := borrow(packed.mr * k) // a panel at a time: a second copy of all weights would be the peak of memory
			defer giveBack(ordered)
			for panel := lo; panel < hi; panel++ {
				i0 := panel * packed.mr
				count := min(packed.mr, rows-i0)
				for row := range count {
					from := weights[(group*rows+i0+row)*k:]
					transposePlane((*ordered)[row*k:(row+1)*k], from[:k], taps, perGroup, 1, taps)
				}
				packed.fillPanel(i0, count, *ordered)
			}
		})
		path.weights = append(path.weights, packed)
	}
	return path
}

// pointwise tells whether patches are the input itself.
func (c *Conv) pointwise() bool {
	if volume(c.Kernel) != 1 {
		return false
	}
	for d := range c.Kernel {
		if c.Strides[d] != 1 || c.PadsBegin[d] != 0 || c.PadsEnd[d] != 0 {
			return false
		}
	}
	return true
}

func (g *gemmPath) run(p *Pool, geo convGeometry) {
	c := geo.conv
	images := geo.n * c.Groups
	grid := newTileGrid((p.Threads()+images-1)/images, g.weights[0], geo.outSize)
	tiles := grid.tiles()
	p.Do(images*tiles, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			i0, i1, j0, j1 := grid.tile(i % tiles)
			q := g.product(&geo, i/tiles/c.Groups, i/tiles%c.Groups)
			q.tile(i0, i1, j0, j1)
		}
	})
}

// product is the matrix product of one group of one image.
func (g *gemmPath) product(geo *convGeometry, image, group int) product {
	c := geo.conv
	perGroup, rows := c.InChannels/c.Groups, c.OutChannels/c.Groups
	x := geo.x[(image*c.Groups+group)*perGroup*geo.inSize:]
	x = x[:perGroup*geo.inSize]
	at := (image*c.OutChannels + group*rows) * geo.outSize
	q := product{a: g.weights[group], n: geo.outSize, c: geo.y[at : at+rows*geo.outSize], ldc: geo.outSize}
	q.act = geo.act
	if geo.rowBias != nil {
		q.rowBias = geo.rowBias[group*rows : (group+1)*rows]
	}
	if geo.residual != nil {
		q.residual = geo.residual[at : at+rows*geo.outSize]
	}
	if g.pointwise {
		q.b = &rowSource{tier: g.tier, b: x, ld: geo.inSize}
	} else {
		q.b = &patchSource{tier: g.tier, geo: geo, x: x, channels: perGroup}
	}
	return q
}
