// Package statistics holds what one pass of a model over calibration pictures leaves behind: for the input of every layer that sums over
// channels, the mean and the covariance of its rows. It is data: package runtime/calibrate collects it, analysis reads it.
package statistics

// Form says what a row of statistics is.
type Form uint8

const (
	// Patch rows hold, for a place of the output, every input channel at every tap of the kernel: channel after channel, taps within.
	Patch Form = iota
	// Channels rows hold every input channel at one place of the input.
	Channels
)

// Moments are mean and covariance of the rows of one conv group.
type Moments struct {
	Size       int       // columns of a row
	Rows       int       // rows that were seen
	Mean       []float64 // by column
	Covariance []float64 // Size x Size, symmetric: E[(x-m)(x-m)']
}

// Input is what is known of the input of a layer.
type Input struct {
	Form    Form
	Moments []Moments // by conv group
}

// Statistics are all inputs of a model.
type Statistics struct {
	Model    string // SHA-256 of the model's file
	Pictures int
	// Detections says that rows were drawn where the model's own detections are.
	Detections bool
	Inputs     map[string]*Input // by layers.Layer.Key
}

// At returns the covariance of columns i and j.
func (m *Moments) At(i, j int) float64 { return m.Covariance[i*m.Size+j] }

// MeanVariance returns the mean of the covariance's diagonal.
func (m *Moments) MeanVariance() float64 {
	sum := 0.0
	for i := range m.Size {
		sum += m.At(i, i)
	}
	return sum / float64(max(m.Size, 1))
}
