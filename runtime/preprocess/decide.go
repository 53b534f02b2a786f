package preprocess

// How a model wants its pictures is seldom in the model. It is looked for in this order, for each setting by itself, and the first that says
// something decides: what the user says, in flags or in a file; the model's metadata; a file beside the model that its exporter wrote; a
// profile by name. A profile that is named comes before one that metadata or a file beside the model only suggest.

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/option"
	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// Source is where a setting comes from.
type Source string

// The sources in order of precedence. The model's declared input comes before all of them: it can not be fed in another size.
const (
	FromModel    Source = "model"
	FromFlags    Source = "flags"
	FromFile     Source = "file"
	FromMetadata Source = "metadata"
	FromSidecar  Source = "sidecar"
	FromProfile  Source = "profile"
	FromDefault  Source = "default"
)

// Options are what the user says. The zero value leaves all to the model and to what lies beside it.
type Options struct {
	Settings []Setting // of the command line
	File     string    // YAML: docs/data.md
	Profile  string    // a name of Profiles
	Input    string    // name of the input that takes the picture, where it can not be told
	Head     string    // what the model's outputs were recognised as (heads.Head.Name): suggests a profile where nothing else says anything

	Classes []string               // names of the model's classes, in the order of its outputs
	Shapes  map[string][]int64     // by input: extents that the model leaves open; -1 leaves one open still
	Values  map[string]value.Value // of inputs that do not follow from the picture
}

// Decision is how pictures become the model's inputs, and why.
type Decision struct {
	Input       string    `json:"input"`             // that takes the picture
	Profile     string    `json:"profile,omitempty"` // by name, or suggested by metadata or a file beside the model
	ProfileFrom string    `json:"profile_from,omitempty"`
	Recipe      Recipe    `json:"recipe"`
	Settings    []Setting `json:"settings"` // all of the recipe, each with where it is from
	Classes     []string  `json:"classes,omitempty"`
	ClassesFrom string    `json:"classes_from,omitempty"`
	Facts       Facts     `json:"facts"`
	Notes       []string  `json:"notes,omitempty"` // what a reader should know: guesses, contradictions

	shapes map[string][]int64
	values map[string]value.Value
}

// Facts are what a model says of itself beside its preprocessing; zero values where it says nothing.
type Facts struct {
	Task    string `json:"task,omitempty"`    // "detect", "classify", ...
	Head    string `json:"head,omitempty"`    // ultralytics: "Detect", "v10Detect"
	End2End bool   `json:"end2end,omitempty"` // outputs need no suppression
	Stride  int    `json:"stride,omitempty"`  // the coarsest, in pixels
	Author  string `json:"author,omitempty"`
}

// said is what one source says.
type said struct {
	settings []Setting
	classes  []string
	profile  string // that it names or suggests
	why      string // for profile and classes
	facts    Facts
	input    string
	values   map[string]float64
	notes    []string
}

// Decide works out how a model is fed. path is the model's file, beside which files of its exporter are looked for; "" looks for none.
// What the user says wrongly is an *Error.
func Decide(m *onnxio.Model, path string, opt Options) (*Decision, error) {
	user := said{settings: opt.Settings, classes: opt.Classes, profile: opt.Profile, why: "named by the user", input: opt.Input}
	sources := []said{user}
	if opt.File != "" {
		f, err := readFile(opt.File)
		if err != nil {
			return nil, err
		}
		sources = append(sources, f)
	}
	named := slices.ContainsFunc(sources, func(s said) bool { return s.profile != "" })
	sources = append(sources, fromMetadata(m))
	beside, err := fromSidecar(path)
	if err != nil {
		return nil, err
	}
	sources = append(sources, beside)
	d := &Decision{shapes: opt.Shapes, values: map[string]value.Value{}, Settings: []Setting{}}
	for _, s := range sources {
		d.Notes = append(d.Notes, s.notes...)
		if s.profile != "" && d.Profile == "" {
			d.Profile, d.ProfileFrom = s.profile, s.why
		} else if s.profile != "" && s.profile != d.Profile && named {
			d.Notes = append(d.Notes, fmt.Sprintf("%s suggests the profile %s; %s was named", s.why, s.profile, d.Profile))
		}
		if d.Classes == nil && s.classes != nil {
			d.Classes, d.ClassesFrom = s.classes, s.why
		}
		if d.Input == "" {
			d.Input = s.input
		}
		d.Facts.add(s.facts)
	}
	if err := d.findInput(m); err != nil {
		return nil, err
	}
	if d.Profile == "" && opt.Head != "" && !saysHow(sources[1:]) {
		if p := suggested(opt.Head); p != "" && (p != "imagenet" || d.likeImageNet(m)) {
			d.Profile, d.ProfileFrom = p, "as the outputs are those of "+opt.Head
			d.Notes = append(d.Notes, fmt.Sprintf("only the outputs say how this model wants its pictures: the profile %s was taken; if it was trained otherwise, name another or say how", p))
		}
	}
	if d.Profile != "" {
		p, err := ProfileNamed(d.Profile)
		if err != nil {
			return nil, err
		}
		d.Profile = p.Name
		settings, err := ParseSettings(p.Settings, FromProfile, "profile "+p.Name+" ("+d.ProfileFrom+")")
		if err != nil {
			return nil, err
		}
		sources = append(sources, said{settings: settings})
	}
	if err := d.settle(m, sources); err != nil {
		return nil, err
	}
	return d, d.constants(m, sources, opt.Values)
}

// saysHow reports whether a source says more than a size.
func saysHow(sources []said) bool {
	return slices.ContainsFunc(sources, func(s said) bool {
		return slices.ContainsFunc(s.settings, func(s Setting) bool { return slices.Contains([]string{"fit", "order", "scale", "mean"}, s.Key) })
	})
}

// likeImageNet reports whether the input has the size that classifiers of photographs have: those of small pictures were trained in other ways.
func (d *Decision) likeImageNet(m *onnxio.Model) bool {
	const least = 160
	width, height, channels := d.declaredSize(m)
	return channels == 3 && (width < 0 || width >= least) && (height < 0 || height >= least)
}

// suggested returns the profile of a head's usual models, "" where there is none.
func suggested(head string) string {
	switch head {
	case "detr", "detr_sigmoid": // labels, boxes and scores, beside orig_target_sizes
		return "dfine"
	case "detr_softmax":
		return "detr"
	case "paddle", "paddle_boxes": // their sizes and means differ, and infer_cfg.yml says them
		return ""
	}
	if _, err := ProfileNamed(head); err == nil {
		return head
	}
	name, _, _ := strings.Cut(head, "_")
	if _, err := ProfileNamed(name); err == nil {
		return name
	}
	return ""
}

func (f *Facts) add(o Facts) {
	if f.Task == "" {
		f.Task = o.Task
	}
	if f.Head == "" {
		f.Head = o.Head
	}
	if f.Author == "" {
		f.Author = o.Author
	}
	if f.Stride == 0 {
		f.Stride = o.Stride
	}
	f.End2End = f.End2End || o.End2End
}

// settle takes each setting from the first source that has it.
func (d *Decision) settle(m *onnxio.Model, sources []said) error {
	width, height, channels := d.declaredSize(m)
	if width > 0 && height > 0 {
		d.Settings = append(d.Settings, Setting{"size", fmt.Sprintf("%dx%d", width, height), FromModel, "the model's input " + d.Input})
	}
	for _, key := range Keys {
		for _, s := range sources {
			i := slices.IndexFunc(s.settings, func(s Setting) bool { return s.Key == key })
			if i < 0 {
				continue
			}
			set := s.settings[i]
			var trial Recipe
			if err := trial.Set(set); err != nil {
				return err
			}
			if key == "size" && (width > 0 || height > 0) {
				wrong := width > 0 && trial.Width != width || height > 0 && trial.Height != height
				switch {
				case wrong && (set.Source == FromFlags || set.Source == FromFile):
					return option.Errorf("%s: a size of %s is asked for, but the model's input %q is %s wide and %s high", set.Why, set.Value, d.Input, extent(width), extent(height))
				case wrong && set.Source != FromProfile:
					d.Notes = append(d.Notes, fmt.Sprintf("%s says %s, the model's input %q is %s wide and %s high", set.Why, set.Value, d.Input, extent(width), extent(height)))
				}
				if width > 0 && height > 0 {
					break
				}
				if width > 0 { // one side is open, and only that is taken
					trial.Width = width
				} else {
					trial.Height = height
				}
				set.Value = fmt.Sprintf("%dx%d", trial.Width, trial.Height)
			}
			if key == "order" && channels == 1 && trial.Order != Grey && set.Source != FromFlags && set.Source != FromFile {
				break // of a profile for colours
			}
			if err := d.Recipe.Set(set); err != nil {
				return err
			}
			d.Settings = append(d.Settings, set)
			break
		}
	}
	d.defaults(channels)
	return nil
}

func extent(n int) string {
	if n < 0 {
		return "any"
	}
	return fmt.Sprint(n)
}

// defaults lists what nobody said.
func (d *Decision) defaults(channels int) {
	said := func(key string) bool {
		return slices.ContainsFunc(d.Settings, func(s Setting) bool { return s.Key == key && s.Source != FromModel })
	}
	if !said("fit") && !said("order") && !said("scale") && !said("mean") {
		d.Notes = append(d.Notes, "nothing says how this model wants its pictures: they are stretched, RGB, in 0..1; if it was trained otherwise, name a profile or say how")
	}
	order := "rgb"
	if channels == 1 {
		order = "grey"
	}
	for _, def := range [][2]string{{"size", "the picture's own"}, {"fit", string(Stretch)}, {"order", order}} {
		if !slices.ContainsFunc(d.Settings, func(s Setting) bool { return s.Key == def[0] }) {
			d.Settings = append(d.Settings, Setting{def[0], def[1], FromDefault, "nothing says otherwise"})
		}
	}
}

// constants takes over the values of inputs that the picture does not give.
func (d *Decision) constants(m *onnxio.Model, sources []said, given map[string]value.Value) error {
	for name, v := range given {
		d.values[name] = v
	}
	for _, s := range sources {
		for name, x := range s.values {
			in := inputNamed(m, name)
			if in == nil {
				return option.Errorf("%s gives a value for %q, but the model has no such input; it has %s", s.why, name, inputNames(m))
			}
			v, err := constant(in, x)
			if err != nil {
				return option.Errorf("%s, input %q: %v", s.why, name, err)
			}
			if d.values[name] == nil {
				d.values[name] = v
			}
		}
	}
	for name := range d.values {
		if inputNamed(m, name) == nil {
			return option.Errorf("a value is given for %q, but the model has no such input; it has %s", name, inputNames(m))
		}
	}
	return nil
}

// Lines tells the decision to a reader, one setting a line: "fit: letterbox (profile yolov8 (metadata author))".
func (d *Decision) Lines() []string {
	var out []string
	for _, s := range d.Settings {
		out = append(out, fmt.Sprintf("%s: %s (%s)", s.Key, strings.ReplaceAll(s.Value, ":", ", "), s.Why))
	}
	if d.Classes != nil {
		out = append(out, fmt.Sprintf("classes: %d (%s)", len(d.Classes), d.ClassesFrom))
	}
	return append(out, d.Notes...)
}
