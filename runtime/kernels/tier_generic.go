//go:build !amd64

package kernels

// Without assembly for this architecture the portable tier is the best one.
func archTiers() []*tier { return nil }
