package heads

// Names of classes where nobody gives them.

import "fmt"

// coco are the categories of COCO's detection task by their ids, of which some are left out. https://cocodataset.org, instances_val2017.json.
var coco = [...]string{
	1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 8: "truck", 9: "boat", 10: "traffic light",
	11: "fire hydrant", 13: "stop sign", 14: "parking meter", 15: "bench", 16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow",
	22: "elephant", 23: "bear", 24: "zebra", 25: "giraffe", 27: "backpack", 28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase", 34: "frisbee",
	35: "skis", 36: "snowboard", 37: "sports ball", 38: "kite", 39: "baseball bat", 40: "baseball glove", 41: "skateboard", 42: "surfboard",
	43: "tennis racket", 44: "bottle", 46: "wine glass", 47: "cup", 48: "fork", 49: "knife", 50: "spoon", 51: "bowl", 52: "banana", 53: "apple",
	54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot", 58: "hot dog", 59: "pizza", 60: "donut", 61: "cake", 62: "chair", 63: "couch",
	64: "potted plant", 65: "bed", 67: "dining table", 70: "toilet", 72: "tv", 73: "laptop", 74: "mouse", 75: "remote", 76: "keyboard",
	77: "cell phone", 78: "microwave", 79: "oven", 80: "toaster", 81: "sink", 82: "refrigerator", 84: "book", 85: "clock", 86: "vase", 87: "scissors",
	88: "teddy bear", 89: "hair drier", 90: "toothbrush",
}

// Names returns the names of the classes by their index: those that are given or, where there are none, those that the head suggests, and why.
// Classes without a name are "".
func (h *Head) Names(given []string) (names []string, why string) {
	switch {
	case given != nil:
		return given, ""
	case h.Classes == 1 && h.faces:
		return []string{"face"}, "head " + h.Name + " finds faces"
	case h.IDs && (h.Classes == 0 || h.Classes == len(coco)):
		return coco[:], "nothing names the classes; they are taken for COCO's category ids, as which head " + h.Name + " counts"
	case h.Classes == 80:
		for _, n := range coco {
			if n != "" {
				names = append(names, n)
			}
		}
		return names, "nothing names the classes; as there are 80, they are taken for COCO's"
	}
	return nil, ""
}

// NameOf returns the name of a class, or its number where it has none.
func NameOf(names []string, class int) string {
	if class >= 0 && class < len(names) && names[class] != "" {
		return names[class]
	}
	return fmt.Sprintf("class %d", class)
}
