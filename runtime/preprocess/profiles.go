package preprocess

import (
	"slices"
	"strings"

	"onnxprune/analysis/option"
)

// Profile is how a family of models was trained to see pictures. Settings are in the words of ParseSettings; size counts only where the
// model leaves its input's size open.
type Profile struct {
	Name     string `json:"name"`
	Settings string `json:"settings"`
	For      string `json:"for"`    // whose models
	Source   string `json:"source"` // where it can be read
}

const (
	imagenetMean = "mean=0.485:0.456:0.406,std=0.229:0.224:0.225"
	dfine        = "size=640x640,fit=stretch,resample=bilinear-antialias,order=rgb,scale=1/255"
	ultralytics  = "size=640x640,fit=letterbox,fill=114,resample=linear,order=rgb,scale=1/255"
)

// Profiles lists all profiles.
var Profiles = []Profile{
	{"yolov5", ultralytics, "YOLOv5, and YOLOv7 which inherits it", "yolov5: utils/augmentations.py, letterbox"},
	{"yolov8", ultralytics, "ultralytics' YOLOv8, v9, v11, v12", "ultralytics: data/augment.py, LetterBox"},
	{"yolov10", ultralytics, "YOLOv10, YOLO26: ends without suppression", "ultralytics: data/augment.py, LetterBox"},
	{"yolox", "size=640x640,fit=letterbox-top-left,fill=114,resample=linear,order=bgr,scale=1", "YOLOX from release 0.1.1 on",
		"YOLOX: yolox/data/data_augment.py, preproc"},
	{"nanodet", "size=320x320,fit=stretch,resample=linear,order=bgr,scale=1,mean=103.53:116.28:123.675,std=57.375:57.12:58.395", "NanoDet, NanoDet-Plus",
		"nanodet: config/*.yml, data.val.pipeline"},
	{"picodet", "size=320x320,fit=stretch,resample=cubic,order=rgb,scale=1/255," + imagenetMean, "PP-PicoDet",
		"PaddleDetection: configs/picodet/_base_/picodet_320_reader.yml"},
	{"paddle", "size=608x608,fit=stretch,resample=cubic,order=rgb,scale=1/255," + imagenetMean, "PaddleDetection's YOLOv3, PP-YOLO and SSD readers",
		"PaddleDetection: configs/yolov3/_base_/yolov3_reader.yml"},
	{"torchvision", "fit=stretch,resample=linear,order=rgb,scale=1/255", "torchvision's detectors: they resize and normalise inside of the graph",
		"torchvision: models/detection/transform.py"},
	{"ssd", "size=300x300,fit=stretch,resample=linear,order=rgb,scale=1,mean=123.675:116.28:103.53", "SSD300 and SSD512 on a VGG trained by Caffe",
		"mmdetection: configs/_base_/models/ssd300.py"},
	{"detr", "fit=keep-ratio,shorter=800,longer=1333,resample=bilinear-antialias,order=rgb,scale=1/255," + imagenetMean + ",fill=mean", "DETR and what keeps its transforms",
		"detr: datasets/coco.py, make_coco_transforms"},
	{"rtdetr", dfine, "RT-DETR", "RT-DETR: rtdetrv2_pytorch/configs/rtdetrv2/include/dataloader.yml"},
	{"dfine", dfine, "D-FINE, DEIM", "D-FINE: configs/dfine/include/dataloader.yml"},
	{"rfdetr", "size=560x560,fit=stretch,resample=bilinear-antialias,order=rgb,scale=1/255," + imagenetMean, "RF-DETR", "rf-detr: rfdetr/detr.py, predict"},
	{"scrfd", "size=640x640,fit=letterbox-top-left,fill=0,resample=linear,order=rgb,scale=1,mean=127.5,std=128", "SCRFD of insightface",
		"insightface: python-package/insightface/model_zoo/scrfd.py"},
	{"yunet", "size=320x320,fit=letterbox-top-left,fill=0,resample=linear,order=bgr,scale=1", "YuNet of OpenCV's zoo", "opencv: modules/objdetect/src/face_detect.cpp"},
	{"ultraface", "size=320x240,fit=stretch,resample=linear,order=rgb,scale=1,mean=127,std=128", "Ultra-Light-Fast-Generic-Face-Detector",
		"Ultra-Light-Fast-Generic-Face-Detector-1MB: run_video_face_detect_onnx.py"},
	{"retinaface", "size=640x640,fit=letterbox-top-left,fill=mean,resample=linear,order=bgr,scale=1,mean=104:117:123", "RetinaFace in PyTorch",
		"Pytorch_Retinaface: detect.py"},
	{"blazeface", "size=128x128,fit=letterbox,fill=0,resample=linear,order=rgb,scale=1,mean=127.5,std=127.5", "BlazeFace of MediaPipe",
		"mediapipe: modules/face_detection/face_detection_short_range.pbtxt"},
	{"fastestdet", "size=352x352,fit=stretch,resample=linear,order=bgr,scale=1/255", "FastestDet", "FastestDet: test.py"},
	{"imagenet", "size=224x224,fit=crop,share=0.875,resample=bilinear-antialias,order=rgb,scale=1/255," + imagenetMean, "classifiers of torchvision and timm",
		"torchvision: transforms/_presets.py, ImageClassification"},
}

// ProfileNamed returns the profile of a name. Errors are *Error.
func ProfileNamed(name string) (Profile, error) {
	i := slices.IndexFunc(Profiles, func(p Profile) bool { return p.Name == strings.ToLower(name) })
	if i < 0 {
		var names []string
		for _, p := range Profiles {
			names = append(names, p.Name)
		}
		return Profile{}, option.Errorf("profile %q is not known; there are %s", name, strings.Join(names, ", "))
	}
	return Profiles[i], nil
}
