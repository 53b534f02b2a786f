package dataset

// Classes of a data set and classes of a model: which are the same.

import (
	"fmt"
	"slices"
	"strings"
)

// ModelClasses is what is known of a model's classes.
type ModelClasses struct {
	Names []string // in the order of its outputs; nil where they are not known
	Count int      // of its outputs; 0 where it is not known
	IDs   bool     // its outputs are the data set's category ids, as torchvision's and DETR's are
}

// Mapping translates classes.
type Mapping struct {
	ToModel []int  `json:"to_model"` // by class of the data set: the model's class, -1 where it has none
	ToSet   []int  `json:"to_set"`   // by class of the model: the data set's class, -1 where it has none; classes beyond the end have none
	How     string `json:"how"`      // in words
}

// Set returns the data set's class of a model's class, -1 for none.
func (m *Mapping) Set(class int) int {
	if class < 0 || class >= len(m.ToSet) {
		return -1
	}
	return m.ToSet[class]
}

// MapClasses finds for each class of the data set the model's class: by name where both have names, by category id where the model's outputs
// are ids, else by order, for which the counts have to be the same. Otherwise the error is an *Error that says both counts.
func (s *Set) MapClasses(m ModelClasses) (*Mapping, error) {
	count := max(m.Count, len(m.Names))
	last := 0
	for _, c := range s.Classes {
		last = max(last, c.ID)
	}
	switch {
	case len(s.Classes) == 0:
		return &Mapping{How: "the data set names no classes"}, nil
	case m.Count > 0 && len(m.Names) > m.Count:
		return nil, fail(s.Path, "%d names of classes are given for a model with %d", len(m.Names), m.Count)
	case m.IDs || m.Names == nil && count == last+1 && last+1 != len(s.Classes): // 91 outputs, and category ids 1 to 90
		if count > 0 && last >= count {
			return nil, s.mismatch(count, "the model's classes are category ids, but the data set's ids go up to "+fmt.Sprint(last))
		}
		return s.mapped(max(count, last+1), "by category id", func(i int) int { return s.Classes[i].ID }), nil
	}
	if m.Names != nil {
		at := map[string]int{}
		for i := len(m.Names) - 1; i >= 0; i-- { // ties to the lower index
			at[plainName(m.Names[i])] = i
		}
		var lost []string
		found := make([]int, len(s.Classes))
		for i, c := range s.Classes {
			k, ok := at[plainName(c.Name)]
			if !ok {
				k = -1
				lost = append(lost, c.Name)
			}
			found[i] = k
		}
		if len(lost) < len(s.Classes) {
			how := "by name"
			if len(lost) > 0 {
				how += fmt.Sprintf("; the model does not know %s of the data set: %s", countOf(len(lost), "class", "classes"), few(lost))
			}
			return s.mapped(count, how, func(i int) int { return found[i] }), nil
		}
		if count != len(s.Classes) {
			return nil, s.mismatch(count, fmt.Sprintf("and no name is the same (%s; %s)", few(names(s.Classes)), few(m.Names)))
		}
	}
	switch {
	case count == 0 || count == len(s.Classes):
		how := "by order"
		if m.Names != nil {
			how = "by order: no name is the same"
		} else if count == 0 {
			how = "by order: how many classes the model has is not known"
		}
		return s.mapped(len(s.Classes), how, func(i int) int { return i }), nil
	}
	return nil, s.mismatch(count, "and the model's classes have no names")
}

func (s *Set) mismatch(count int, why string) error {
	return fail(s.Path, "the data set has %s, the model %d, %s: give the names of the model's classes in their order (names: in a file of settings), or the data set that it was trained for",
		countOf(len(s.Classes), "class", "classes"), count, why)
}

func (s *Set) mapped(count int, how string, to func(i int) int) *Mapping {
	m := &Mapping{ToModel: make([]int, len(s.Classes)), ToSet: slices.Repeat([]int{-1}, count), How: how}
	for i := range s.Classes {
		m.ToModel[i] = to(i)
		if k := m.ToModel[i]; k >= 0 && k < count {
			m.ToSet[k] = i
		}
	}
	return m
}

// aliases are names of COCO's classes that other lists spell as Pascal VOC did.
var aliases = map[string]string{"motorbike": "motorcycle", "aeroplane": "airplane", "sofa": "couch", "tvmonitor": "tv"}

// plainName takes a name to what spellings of it share.
func plainName(name string) string {
	name = strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(name))
	if a, ok := aliases[name]; ok {
		return a
	}
	return name
}

func names(classes []Class) []string {
	var out []string
	for _, c := range classes {
		out = append(out, c.Name)
	}
	return out
}

// few lists the first names of many.
func few(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
